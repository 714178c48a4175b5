//! The audit log (§7): who decided what, when, and what stood before and after. Entries are added
//! and never changed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    conflict::{ConflictOutcome, Resolution, SupersededConflict},
    json::{self, Fields, Json},
    protocol::{batches::RunsAs, serialize_timestamp},
    push::{decide::PolicyConflict, intake::Sender},
    resource::{Resource, ResourceKey},
};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// A conflict was decided, by a person or by a policy.
    ConflictResolved,
    /// A replay of a batch began.
    ReplayStarted,
    /// A replay of a batch ended; its results stand in `before` and `after`.
    ReplayFinished,
    /// An admin pushed into channels that only the role `admin` opens to them.
    AdminWrite,
    /// An operator had a channel of the change log repaired or started over.
    Repair,
}

/// Through which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The API, by an admin's token.
    Api,
    /// A direct invocation, by the authority of IAM.
    Invocation,
    /// A policy of the catalog, in the course of a push.
    Policy,
}

/// An entry of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Sorts by time.
    pub id: String,
    /// When.
    #[serde(serialize_with = "serialize_timestamp")]
    pub at: DateTime<Utc>,
    /// What.
    pub action: AuditAction,
    /// Who: a user, an operator, or `policy:<name>`.
    pub by: String,
    /// Through which door.
    pub via: Via,
    /// Whose edits it was about.
    pub user: String,
    /// Which device's.
    pub device_id: String,
    /// Of a replay: the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Of a replay: the claims that it runs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_as: Option<RunsAs>,
    /// Of a push by an admin: the resources that it writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<WrittenResource>,
    /// Of a resolution: the conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<String>,
    /// Of a resolution: where the resource lives. Of a repair: which channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Of a resolution: the resource's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Of a resolution: the resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Of a resolution: the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// What the decider had to say. Of a repair: what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What stood before; `null` where nothing did.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<AuditDetails<'static>>))]
    pub before: Option<Json>,
    /// What stands after.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<AuditDetails<'static>>))]
    pub after: Option<Json>,
}

/// A resource that an admin's push writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WrittenResource {
    /// Its channel.
    pub channel: String,
    /// Its type.
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// The version that the push makes.
    pub server_version: u64,
    /// Whether the push deletes it.
    pub deleted: bool,
}

/// A resource as an entry shows it.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditedResource<'a> {
    /// Its version.
    pub server_version: u64,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Its payload; of a deleted one the last.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub payload: &'a Json,
}

/// Of a resolution the resource, of a replay the results, without payloads.
#[cfg(feature = "openapi")]
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum AuditDetails<'a> {
    /// Of a resolution.
    Resource(AuditedResource<'a>),
    /// Of a replay.
    Results(Vec<crate::protocol::push::ItemResult>),
}

/// [`AuditedResource`] as JSON.
pub fn state(resource: &Resource) -> Json {
    let Resource {
        server_version,
        deleted,
        payload,
        ..
    } = resource;
    let state = AuditedResource {
        server_version: *server_version,
        deleted: *deleted,
        payload,
    };
    // Numbers and JSON texts always serialise.
    serde_json::value::to_raw_value(&state).unwrap_or_else(|_| json::object(&Fields::new()))
}

/// A conflict that was decided, as an entry names it.
#[derive(Debug, Clone, Copy)]
pub struct AuditedConflict<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it is about.
    pub resource: &'a ResourceKey,
    /// Whose edits stand in it.
    pub user: &'a str,
    /// Which device's.
    pub device_id: &'a str,
}

impl AuditEntry {
    /// Returns an entry without anything that belongs to one kind of action only.
    pub fn new(id: String, at: DateTime<Utc>, action: AuditAction, by: &str, via: Via) -> Self {
        Self {
            id,
            at,
            action,
            by: by.to_owned(),
            via,
            user: by.to_owned(),
            device_id: String::new(),
            batch_id: None,
            runs_as: None,
            resources: Vec::new(),
            conflict_id: None,
            channel: None,
            resource_type: None,
            resource_id: None,
            resolution: None,
            note: None,
            before: None,
            after: None,
        }
    }

    /// Returns the entry of an admin's push that makes these writes, or `None` if the sender needs
    /// the role `admin` for none of them.
    pub fn of_admin_write<'a>(
        id: String,
        at: DateTime<Utc>,
        sender: Sender<'_>,
        writes: impl Iterator<Item = (&'a ResourceKey, &'a Resource)>,
    ) -> Option<Self> {
        let foreign = writes.filter(|(key, _)| !sender.principal.is_member(&key.channel));
        let written = foreign.map(|(key, resource)| WrittenResource {
            channel: key.channel.to_string(),
            resource_type: key.resource_type.clone(),
            resource_id: key.id.clone(),
            server_version: resource.server_version,
            deleted: resource.deleted,
        });
        let resources: Vec<WrittenResource> = written.collect();
        let entry = Self::new(
            id,
            at,
            AuditAction::AdminWrite,
            &sender.principal.user,
            Via::Api,
        );
        (!resources.is_empty()).then(|| Self {
            device_id: sender.device_id.to_owned(),
            resources,
            ..entry
        })
    }

    /// That `conflict` ended with `outcome`, and the resource `before` and `after` it.
    pub fn of_decision(
        id: String,
        via: Via,
        conflict: AuditedConflict<'_>,
        outcome: &ConflictOutcome,
        before: Option<&Resource>,
        after: Option<&Resource>,
    ) -> Self {
        Self {
            user: conflict.user.to_owned(),
            device_id: conflict.device_id.to_owned(),
            conflict_id: Some(conflict.id.to_owned()),
            channel: Some(conflict.resource.channel.to_string()),
            resource_type: Some(conflict.resource.resource_type.clone()),
            resource_id: Some(conflict.resource.id.clone()),
            resolution: Some(outcome.resolution),
            note: outcome.note.clone(),
            before: before.map(state),
            after: after.map(state),
            ..Self::new(
                id,
                outcome.resolved_at,
                AuditAction::ConflictResolved,
                &outcome.resolved_by,
                via,
            )
        }
    }

    /// That a create of the sender, which made `after`, took the place of a conflict about an
    /// earlier create of `resource`.
    pub fn of_superseded(
        id: String,
        sender: Sender<'_>,
        resource: &ResourceKey,
        superseded: &SupersededConflict,
        after: Option<&Resource>,
    ) -> Self {
        let (user, device_id) = (&sender.principal.user, sender.device_id);
        let decided = AuditedConflict {
            id: &superseded.id,
            resource,
            user,
            device_id,
        };
        Self::of_decision(id, Via::Policy, decided, &superseded.outcome, None, after)
    }

    /// What a policy decided in the course of a push (§5).
    pub fn of_policy(id: String, sender: Sender<'_>, ruled: &PolicyConflict) -> Option<Self> {
        let PolicyConflict {
            conflict, after, ..
        } = ruled;
        let (user, device_id) = (&sender.principal.user, sender.device_id);
        let decided = AuditedConflict {
            id: &conflict.id,
            resource: &conflict.resource,
            user,
            device_id,
        };
        let outcome = conflict.outcome.as_ref()?;
        Some(Self::of_decision(
            id,
            Via::Policy,
            decided,
            outcome,
            conflict.server.as_ref(),
            Some(after),
        ))
    }
}
