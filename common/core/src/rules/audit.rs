//! The audit log (§7): administrative actions with their author, their time, and the state before
//! and after them. Entries are appended and never changed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        conflict::{ConflictOutcome, Resolution, SupersededConflict},
        json::{self, Fields, Json},
        resource::{Resource, ResourceKey},
    },
    rules::push::{decide::PolicyConflict, intake::Sender},
    wire::{batches::RunsAs, serialize_timestamp},
};

/// The kind of an audited action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// A conflict was resolved by a person or by a policy.
    ConflictResolved,
    /// A replay of a batch began.
    ReplayStarted,
    /// A replay of a batch ended; `before` and `after` contain its results.
    ReplayFinished,
    /// An admin pushed to channels that only the role `admin` permits them to write.
    AdminWrite,
    /// An operator repaired or reset the change log of a channel.
    Repair,
}

/// The interface through which an action was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The HTTP API, with the token of an admin.
    Api,
    /// A direct invocation of the function, authorized by IAM.
    Invocation,
    /// A policy of the catalog, applied during a push.
    Policy,
}

/// One entry of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// The id of the entry; ids sort by time.
    pub id: String,
    /// The time of the action.
    #[serde(serialize_with = "serialize_timestamp")]
    pub at: DateTime<Utc>,
    /// The kind of the action.
    pub action: AuditAction,
    /// The author: a user, an operator, or `policy:<name>`.
    pub by: String,
    /// The interface through which the action was made.
    pub via: Via,
    /// The user whose edits the action concerns.
    pub user: String,
    /// The device whose edits the action concerns.
    pub device_id: String,
    /// For a replay: the id of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// For a replay: the claims that it runs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_as: Option<RunsAs>,
    /// For an admin's push: the resources that it writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<WrittenResource>,
    /// For a resolution: the id of the conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<String>,
    /// For a resolution: the channel of the resource. For a repair: the repaired channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// For a resolution: the type of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// For a resolution: the id of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// For a resolution: how the conflict was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// For a resolution: the note that accompanies it. For a repair: what the repair does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The state before the action; `null` if there was none.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<AuditDetails<'static>>))]
    pub before: Option<Json>,
    /// The state after the action; `null` if the resource does not exist.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<AuditDetails<'static>>))]
    pub after: Option<Json>,
}

/// A resource that an admin's push writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WrittenResource {
    /// The channel of the resource.
    pub channel: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource.
    pub resource_id: String,
    /// The version that the push makes.
    pub server_version: u64,
    /// Whether the push deletes the resource.
    pub deleted: bool,
}

/// The state of a resource in an audit entry.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditedResource<'a> {
    /// The version of the resource.
    pub server_version: u64,
    /// Whether the resource is deleted.
    pub deleted: bool,
    /// The payload; for a deleted resource its last payload.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub payload: &'a Json,
}

/// The details of an action: for a resolution the resource, for a replay its results without
/// payloads.
#[cfg(feature = "openapi")]
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum AuditDetails<'a> {
    /// The resource, for a resolution.
    Resource(AuditedResource<'a>),
    /// The item results, for a replay.
    Results(Vec<crate::wire::push::ItemResult>),
}

/// Returns the state of `resource` as the JSON of an [`AuditedResource`].
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
    // Numbers and JSON texts always serialize.
    serde_json::value::to_raw_value(&state).unwrap_or_else(|_| json::object(&Fields::new()))
}

/// A resolved conflict, as an audit entry identifies it.
#[derive(Debug, Clone, Copy)]
pub struct AuditedConflict<'a> {
    /// The id of the conflict.
    pub id: &'a str,
    /// The resource that the conflict concerns.
    pub resource: &'a ResourceKey,
    /// The user whose edits are part of it.
    pub user: &'a str,
    /// The device whose edits are part of it.
    pub device_id: &'a str,
}

impl AuditEntry {
    /// Returns an entry whose fields for specific kinds of actions are empty.
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

    /// Returns the entry for a conflict that was resolved with `outcome`, with the resource
    /// `before` and `after` it.
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

    /// Returns the entry for a conflict about an earlier create of `resource` that a create of the
    /// sender superseded; `after` is the resource that the create made.
    pub fn of_superseded(
        id: String,
        sender: Sender<'_>,
        resource: &ResourceKey,
        superseded: &SupersededConflict,
        after: Option<&Resource>,
    ) -> Self {
        let (user, device_id) = (&sender.principal.user, sender.device_id);
        let audited = AuditedConflict {
            id: &superseded.id,
            resource,
            user,
            device_id,
        };

        Self::of_decision(id, Via::Policy, audited, &superseded.outcome, None, after)
    }

    /// Returns the entry for a conflict that a policy resolved during a push (§5), or `None` if the
    /// conflict has no outcome.
    pub fn of_policy(id: String, sender: Sender<'_>, resolved: &PolicyConflict) -> Option<Self> {
        let PolicyConflict {
            conflict, after, ..
        } = resolved;

        let (user, device_id) = (&sender.principal.user, sender.device_id);
        let audited = AuditedConflict {
            id: &conflict.id,
            resource: &conflict.resource,
            user,
            device_id,
        };

        let outcome = conflict.outcome.as_ref()?;
        Some(Self::of_decision(
            id,
            Via::Policy,
            audited,
            outcome,
            conflict.server.as_ref(),
            Some(after),
        ))
    }
}
