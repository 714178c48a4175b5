//! A row of the matrix of permissions.

use serde_json::Value;

/// A request for another caller's data, and the expected responses: the status, and the code of the
/// problem or the outcome of each item.
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// The path below `/api/v1/mobile/`.
    pub(crate) route: &'static str,
    /// Returns the path with its query, and the body of the request.
    pub(super) about: fn(&IntruderKnowledge) -> (String, Value),
    /// The response to an admin of another tenant, who has the same name and groups as Ana.
    pub(super) other_tenant: &'static str,
    /// The response to another user of the tenant, who is in no group.
    pub(super) other_user: &'static str,
    /// The response to Ben, who was in the group when he pushed, and whose token no longer contains
    /// it.
    pub(super) group_left: &'static str,
    /// The response to a member of the group who is no admin.
    pub(super) not_admin: &'static str,
    /// The response to a viewer of the tenant, who is in no group.
    pub(super) viewer: &'static str,
    /// The response to an operator who is a user of the tenant and is in no group.
    pub(super) operator: &'static str,
    /// A caller who has permission, and a part of the response to it: it proves that the data
    /// exists that the other responses must not contain.
    pub(crate) owner: (Who, &'static str),
}

/// A caller who has permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Ana,
    Member,
    Admin,
}

/// The ids and tokens with which an intruder sends requests, as if all of them had leaked.
pub(crate) struct IntruderKnowledge {
    /// A conflict of Ana. The next one is Ben's, about a task of the group.
    pub(super) conflict: String,
    pub(super) group_conflict: String,
    pub(super) decided: String,
    pub(super) batch: String,
    /// A batch of Ana whose only item was rejected.
    pub(super) rejected_batch: String,
    /// Ana's position in the log. The cursor is an admin's position in the audit log.
    pub(super) token: Value,
    pub(super) cursor: String,
    pub(super) photo: String,
}
