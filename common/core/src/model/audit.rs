//! The audit log (§7): administrative actions with their author, their time, and the state before
//! and after them. Entries are appended and never changed.

mod runs_as;

use chrono::{DateTime, Utc};

use crate::model::{json::Json, keyword::keywords, resolution::Resolution};

pub use runs_as::RunsAs;

/// The kind of an audited action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// A conflict was resolved by a person or by a policy.
    ConflictResolved,
    /// A replay of a batch began.
    ReplayStarted,
    /// A replay of a batch ended; `before` and `after` contain its results.
    ReplayFinished,
    /// An admin ran a rejected item of a batch with another payload. There are two entries: one
    /// before anything is applied, and one with the result.
    ItemCorrected,
    /// An admin pushed to channels that only the role `admin` permits them to write.
    AdminWrite,
    /// An operator repaired or reset the change log of a channel.
    Repair,
}

keywords!(
    AuditAction, "action",
    ConflictResolved => "conflict_resolved",
    ReplayStarted => "replay_started",
    ReplayFinished => "replay_finished",
    ItemCorrected => "item_corrected",
    AdminWrite => "admin_write",
    Repair => "repair",
);

/// The interface through which an action was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The HTTP API, with the token of an admin.
    Api,
    /// A direct invocation of the function, authorized by IAM.
    Invocation,
    /// A policy of the catalog, applied during a push.
    Policy,
}

keywords!(Via, "interface", Api => "api", Invocation => "invocation", Policy => "policy");

/// One entry of the audit log.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// The id of the entry; ids sort by time.
    pub id: String,
    /// The time of the action.
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
    /// For a replay or a correction: the id of the batch.
    pub batch_id: Option<String>,
    /// For an action of a bulk request: the id that the entries of the request share.
    pub bulk_id: Option<String>,
    /// For a replay or a correction: the claims that it runs with.
    pub runs_as: Option<RunsAs>,
    /// For an admin's push: the resources that it writes.
    pub resources: Vec<WrittenResource>,
    /// For a resolution: the id of the conflict.
    pub conflict_id: Option<String>,
    /// For a resolution: the channel of the resource. For a repair: the repaired channel.
    pub channel: Option<String>,
    /// For a resolution: the type of the resource.
    pub resource_type: Option<String>,
    /// For a resolution: the id of the resource.
    pub resource_id: Option<String>,
    /// For a resolution: how the conflict was resolved.
    pub resolution: Option<Resolution>,
    /// For a resolution or a correction: the note that accompanies it. For a repair: what the
    /// repair does.
    pub note: Option<String>,
    /// The state before the action, as JSON: for a resolution the resource, for a replay its
    /// results without payloads, for a correction the item and its result. `None` if there was
    /// none.
    pub before: Option<Json>,
    /// The state after the action, in the same form; `None` if the resource does not exist.
    pub after: Option<Json>,
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
            bulk_id: None,
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
}

/// A resource that an admin's push writes.
#[derive(Debug, Clone, PartialEq, Eq)]
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
