//! The matrix of permissions: for each route, requests for another caller's data, and the expected
//! response to each kind of intruder.

use serde_json::{Value, json};
use tidemark_tests::Item;

use super::{GROUP, OWN};

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
    /// Ana's position in the log. The cursor is an admin's position in the audit log.
    pub(super) token: Value,
    pub(super) cursor: String,
    pub(super) photo: String,
}

pub(crate) const ASKS: &[Ask] = &[
    Ask {
        method: "POST",
        route: "sync/push",
        about: |known| {
            let own = json!([
                item("submission", "update", "user/ana", "s-1", 1),
                item("submission", "delete", "user/ana", "s-2", 1)
            ]);
            (
                "sync/push".into(),
                json!({"device_id": "phone", "client_sync_token": known.token, "items": own}),
            )
        },
        other_tenant: "200 not_found not_found",
        other_user: "200 channel_forbidden channel_forbidden",
        group_left: "200 channel_forbidden channel_forbidden",
        not_admin: "200 channel_forbidden channel_forbidden",
        owner: (Who::Ana, "s-1"),
    },
    Ask {
        method: "POST",
        route: "sync/push",
        about: |_| {
            let group = json!([
                item("task", "update", "group/north", "t-1", 1),
                item("task", "create", "group/north", "t-9", 0)
            ]);
            (
                "sync/push".into(),
                json!({"device_id": "phone", "batch_id": "b", "items": group}),
            )
        },
        other_tenant: "200 not_found ok",
        other_user: "200 channel_forbidden channel_forbidden",
        group_left: "200 channel_forbidden channel_forbidden",
        not_admin: "200 conflict ok",
        owner: (Who::Member, GROUP),
    },
    Ask {
        method: "POST",
        route: "sync/push",
        about: |known| {
            let payload = json!({"form_id": "f", "data": {}, "media": [known.photo]});
            let photo = Item::create_as("submission", "t", payload).base(0);
            (
                "sync/push".into(),
                json!({"device_id": "phone", "items": [photo]}),
            )
        },
        other_tenant: "200 invalid_media_key",
        other_user: "200 invalid_media_key",
        group_left: "200 invalid_media_key",
        not_admin: "200 invalid_media_key",
        owner: (Who::Ana, "ok"),
    },
    Ask {
        method: "POST",
        route: "sync/pull",
        about: |_| {
            (
                "sync/pull".into(),
                json!({"since_token": null, "device_id": "phone"}),
            )
        },
        other_tenant: "200",
        other_user: "200",
        group_left: "200",
        not_admin: "200",
        owner: (Who::Ana, OWN),
    },
    Ask {
        method: "POST",
        route: "sync/pull",
        about: |known| {
            (
                "sync/pull".into(),
                json!({"since_token": known.token, "device_id": "phone"}),
            )
        },
        other_tenant: "200",
        other_user: "200",
        group_left: "200",
        not_admin: "200",
        owner: (Who::Ana, GROUP),
    },
    Ask {
        method: "POST",
        route: "sync/ack",
        about: |known| {
            (
                "sync/ack".into(),
                json!({"ack_token": known.token, "device_id": "phone"}),
            )
        },
        other_tenant: "200",
        other_user: "200",
        group_left: "200",
        not_admin: "200",
        owner: (Who::Ana, "user/ana"),
    },
    Ask {
        method: "GET",
        route: "sync/limits",
        about: |_| ("sync/limits".into(), Value::Null),
        other_tenant: "200",
        other_user: "200",
        group_left: "200",
        not_admin: "200",
        owner: (Who::Ana, "batch"),
    },
    Ask {
        method: "GET",
        route: "devices",
        about: |_| ("devices?user=ana".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Ana, OWN),
    },
    Ask {
        method: "GET",
        route: "status",
        about: |_| ("status".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, "user/ana"),
    },
    Ask {
        method: "GET",
        route: "devices",
        about: |_| ("devices?scope=tenant".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, OWN),
    },
    Ask {
        method: "GET",
        route: "conflicts",
        about: |_| ("conflicts?status=open".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, OWN),
    },
    Ask {
        method: "GET",
        route: "conflicts/{id}",
        about: |known| (format!("conflicts/{}", known.conflict), Value::Null),
        other_tenant: "404 not_found",
        other_user: "404 not_found",
        group_left: "404 not_found",
        not_admin: "404 not_found",
        owner: (Who::Ana, OWN),
    },
    Ask {
        method: "GET",
        route: "conflicts/{id}",
        about: |known| (format!("conflicts/{}", known.group_conflict), Value::Null),
        other_tenant: "404 not_found",
        other_user: "404 not_found",
        // The response contains Ben's edit and the state with which it conflicted when he was a
        // member, and nothing newer.
        group_left: "200",
        not_admin: "404 not_found",
        owner: (Who::Admin, "ben"),
    },
    Ask {
        method: "POST",
        route: "conflicts/{id}/resolve",
        about: |known| {
            (
                format!("conflicts/{}/resolve", known.conflict),
                json!({"resolution": "accept_server"}),
            )
        },
        other_tenant: "404 not_found",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, "resolved"),
    },
    Ask {
        method: "POST",
        route: "conflicts/{id}/resolve",
        // The conflict has been resolved in the same way: a caller with permission gets the
        // outcome.
        about: |known| {
            (
                format!("conflicts/{}/resolve", known.decided),
                json!({"resolution": "accept_server", "note": OWN}),
            )
        },
        other_tenant: "404 not_found",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, OWN),
    },
    Ask {
        method: "POST",
        route: "media/presign",
        about: |_| {
            let photo = json!({"filename": "../ana/photo.jpg", "content_type": "image/jpeg", "content_length": 5});
            ("media/presign".into(), photo)
        },
        other_tenant: "200",
        other_user: "200",
        group_left: "200",
        not_admin: "200",
        owner: (Who::Ana, "acme/ana/"),
    },
    Ask {
        method: "GET",
        route: "batches/{id}",
        about: |known| (format!("batches/{}", known.batch), Value::Null),
        other_tenant: "404 not_found",
        other_user: "404 not_found",
        group_left: "404 not_found",
        not_admin: "404 not_found",
        owner: (Who::Ana, OWN),
    },
    Ask {
        method: "POST",
        route: "batches/{id}/replay",
        about: |known| (format!("batches/{}/replay", known.batch), json!({})),
        other_tenant: "404 not_found",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, "conflict"),
    },
    Ask {
        method: "GET",
        route: "audit",
        about: |known| {
            (
                format!("audit?order=oldest&cursor={}", known.cursor),
                Value::Null,
            )
        },
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, "entries"),
    },
    Ask {
        method: "GET",
        route: "audit",
        about: |_| ("audit".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        owner: (Who::Admin, OWN),
    },
];

/// Returns an edit of a resource.
pub(super) fn item(kind: &str, action: &str, channel: &str, id: &str, version: u64) -> Item {
    Item::new(kind, action, version)
        .base(version)
        .channel(channel)
        .payload(json!({"by": "an intruder"}))
        .id(id)
}
