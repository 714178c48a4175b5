//! Builds the entries of the audit log (§7) from decisions about pushes and conflicts.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::{
        audit::{AuditAction, AuditEntry, Via, WrittenResource},
        conflict::{ConflictOutcome, SupersededConflict},
        json::{self, Fields, Json},
        resource::{Resource, ResourceKey},
    },
    rules::push::{decision::PolicyConflict, edit::Sender},
};

/// Returns the state of `resource` as the JSON that an audit entry contains.
fn state(resource: &Resource) -> Json {
    #[derive(Serialize)]
    struct ResourceState<'a> {
        server_version: u64,
        deleted: bool,
        payload: &'a Json,
    }

    let state = ResourceState {
        server_version: resource.server_version,
        deleted: resource.deleted,
        payload: &resource.payload,
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
    /// Returns the entry of an admin's push that makes these writes, or `None` if the sender needs
    /// the role `admin` for none of them.
    ///
    /// # Example
    ///
    /// ```
    /// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
    /// use tidemark_core::model::{audit::AuditEntry, channel::Channel, resource::ResourceKey};
    ///
    /// // An admin writes to the tenant's channel, like every user, and to another user's channel.
    /// let mut phone = phone::Phone::new();
    /// phone.principal.roles = vec!["admin".into()];
    /// let row = phone::stored("{}");
    /// let shared = phone::meter("m-1");
    /// let foreign = ResourceKey { channel: Channel::User("ben".into()), ..shared.clone() };
    /// let entry = |keys: &[&ResourceKey]| {
    ///     let writes = keys.iter().map(|key| (*key, &row));
    ///     AuditEntry::of_admin_write("1".into(), Default::default(), phone.sender(), writes)
    /// };
    /// assert_eq!(entry(&[&shared]).map(|entry| entry.id), None);
    /// let resources = entry(&[&shared, &foreign]).unwrap().resources;
    /// assert!(resources.iter().map(|resource| &resource.channel).eq(["user/ben"]));
    /// ```
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
    ///
    /// # Example
    ///
    /// ```
    /// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
    /// use tidemark_core::{
    ///     model::{audit::{AuditEntry, Via}, conflict::ConflictOutcome, resolution::Resolution},
    ///     rules::audit::AuditedConflict,
    /// };
    ///
    /// let (resource, row) = (&phone::meter("m-1"), phone::stored(r#"{"unit":"Wh"}"#));
    /// let conflict = AuditedConflict { id: "conf-1", resource, user: "ana", device_id: "phone" };
    /// let outcome = ConflictOutcome {
    ///     resolution: Resolution::AcceptServer,
    ///     resolved_by: "root".into(),
    ///     resolved_at: Default::default(),
    ///     note: None,
    ///     server_version: 1,
    ///     merged_digest: None,
    ///     picked_digest: None,
    /// };
    /// let entry =
    ///     AuditEntry::of_decision("1".into(), Via::Api, conflict, &outcome, None, Some(&row));
    /// assert_eq!((entry.by.as_str(), entry.user.as_str()), ("root", "ana"));
    /// let after = r#"{"server_version":1,"deleted":false,"payload":{"unit":"Wh"}}"#;
    /// assert_eq!(entry.after.unwrap().get(), after);
    /// ```
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
    ///
    /// See the example of [`of_decision`](Self::of_decision).
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
    ///
    /// See the example of [`of_decision`](Self::of_decision).
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
