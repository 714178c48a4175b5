//! The result of an item of a push (§3.4).

mod code;
mod rejection;

use crate::model::{json::Json, keyword::keywords, resolution::Resolution};

pub use code::ItemCode;
pub use rejection::Rejection;

/// The status of a processed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The edit was applied, now or before, or changed nothing.
    Ok,
    /// The edit conflicts. It is stored in a conflict until it is resolved.
    Conflict,
    /// The edit was not applied.
    Error,
}

keywords!(Status, "status", Ok => "ok", Conflict => "conflict", Error => "error");

/// The result of one item.
#[derive(Debug, Clone)]
pub struct ItemResult {
    /// The index of the item in the batch, starting at 0.
    pub index: usize,
    /// The `client_temp_id` of the item, as sent.
    pub client_temp_id: Option<String>,
    /// Whether the item was applied, conflicts or failed.
    pub status: Status,
    /// The id of the resource, if it is known.
    pub server_id: Option<String>,
    /// The version that the edit created; for a conflict, the version that it conflicts with.
    pub server_version: Option<u64>,
    /// Whether the edit was merged with the changes of others (§5, `field_merge`). `server_payload`
    /// is the stored result.
    pub merged: bool,
    /// The id of the conflict that contains the edit.
    pub conflict_id: Option<String>,
    /// The server's current payload, if the device may not have it: for a conflict, and for an edit
    /// with an older base that changed nothing.
    pub server_payload: Option<Json>,
    /// Whether `server_payload` is omitted, because the response would be too large (§3.12), or
    /// because this is a repeated response and the resource has changed or was deleted since
    /// (§3.6). The device must pull before it uses `server_version` as a base.
    pub server_payload_omitted: bool,
    /// For a conflict, whether the server's resource is deleted.
    pub server_deleted: bool,
    /// For a conflict that is already resolved, by a policy or before the item was sent again, how
    /// it was resolved.
    pub resolution: Option<Resolution>,
    /// For an applied create, the ids of this device's open conflicts about earlier creates of the
    /// resource, at most 10. They are resolved, because this create supersedes them (§3.9).
    pub superseded_conflicts: Vec<String>,
    /// For a `unique_violation`, the id of the resource that holds the value, if the caller may
    /// read it.
    pub holder_id: Option<String>,
    /// The stable code of a conflict or error, for programs.
    pub code: Option<ItemCode>,
    /// The description of a conflict or error, for people.
    pub error: Option<String>,
    /// For an error, whether the item may succeed when it is sent again unchanged.
    pub retryable: Option<bool>,
    /// For an item that an admin corrected, a digest of the correction. Its payload is not that of
    /// the stored item.
    pub correction: Option<u64>,
}

impl ItemResult {
    /// Returns the result of an item that was applied, now or before, or changed nothing.
    pub fn ok(
        index: usize,
        client_temp_id: Option<String>,
        server_id: String,
        server_version: Option<u64>,
    ) -> Self {
        Self {
            index,
            client_temp_id,
            status: Status::Ok,
            server_id: Some(server_id),
            server_version,
            merged: false,
            conflict_id: None,
            resolution: None,
            superseded_conflicts: Vec::new(),
            holder_id: None,
            server_payload: None,
            server_payload_omitted: false,
            server_deleted: false,
            code: None,
            error: None,
            retryable: None,
            correction: None,
        }
    }

    /// Returns whether the item is processed again when its batch is sent again (§3.6).
    pub fn is_retryable(&self) -> bool {
        self.retryable == Some(true)
    }

    /// Returns whether the item as it was sent must not be decided again: it was applied, or an
    /// admin corrected it, so that it is not what was decided.
    pub fn is_settled(&self) -> bool {
        self.status == Status::Ok || self.correction.is_some()
    }
}
