//! The matrix of permissions: for each route, requests for another caller's data, and the expected
//! response to each kind of intruder.

mod sync;

use serde_json::{Value, json};
use tidemark_tests::Item;

use super::{
    OWN,
    ask::{Ask, Who},
};

/// Returns every row of the matrix.
pub(crate) fn asks() -> impl Iterator<Item = &'static Ask> {
    sync::ASKS.iter().chain(ASKS)
}

const ASKS: &[Ask] = &[
    Ask {
        method: "GET",
        route: "devices",
        about: |_| ("devices?user=ana".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        viewer: "200",
        operator: "403 forbidden",
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
        viewer: "200",
        operator: "403 forbidden",
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
        viewer: "200",
        operator: "403 forbidden",
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
        viewer: "200",
        operator: "403 forbidden",
        owner: (Who::Admin, OWN),
    },
    Ask {
        method: "GET",
        route: "conflicts/summary",
        about: |_| ("conflicts/summary".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        viewer: "200",
        operator: "403 forbidden",
        owner: (Who::Admin, "version_mismatch"),
    },
    Ask {
        method: "GET",
        route: "conflicts/{id}",
        about: |known| (format!("conflicts/{}", known.conflict), Value::Null),
        other_tenant: "404 not_found",
        other_user: "404 not_found",
        group_left: "404 not_found",
        not_admin: "404 not_found",
        viewer: "200",
        operator: "404 not_found",
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
        viewer: "200",
        operator: "404 not_found",
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
        viewer: "403 forbidden",
        operator: "403 forbidden",
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
        viewer: "403 forbidden",
        operator: "403 forbidden",
        owner: (Who::Admin, OWN),
    },
    Ask {
        method: "POST",
        route: "conflicts/resolve",
        about: |known| {
            let conflict = json!({"id": known.conflict, "expected_server_version": 2});
            (
                "conflicts/resolve".into(),
                json!({"conflicts": [conflict], "resolution": "accept_server"}),
            )
        },
        // The result of the conflict is `not_found`.
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        viewer: "403 forbidden",
        operator: "403 forbidden",
        owner: (Who::Admin, r#""status":"resolved""#),
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
        viewer: "200",
        operator: "200",
        owner: (Who::Ana, "acme/ana/"),
    },
    Ask {
        method: "GET",
        route: "batches",
        about: |_| ("batches?outcome=conflict&user=ana".into(), Value::Null),
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        viewer: "200",
        operator: "403 forbidden",
        owner: (Who::Admin, "batch-"),
    },
    Ask {
        method: "POST",
        route: "batches/replay",
        about: |known| {
            let batches = json!({"batch_ids": [known.batch], "dry_run": false});
            ("batches/replay".into(), batches)
        },
        // The result of the batch is `not_found`.
        other_tenant: "200",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        viewer: "403 forbidden",
        operator: "403 forbidden",
        owner: (Who::Admin, "conflict"),
    },
    Ask {
        method: "POST",
        route: "batches/{id}/items/{index}/correct",
        about: |known| {
            let payload = json!({"id": "s-3", "form_id": "f", "data": OWN});
            (
                format!("batches/{}/items/0/correct", known.rejected_batch),
                json!({"payload": payload}),
            )
        },
        other_tenant: "404 not_found",
        other_user: "403 forbidden",
        group_left: "403 forbidden",
        not_admin: "403 forbidden",
        viewer: "403 forbidden",
        operator: "403 forbidden",
        owner: (Who::Admin, "s-3"),
    },
    Ask {
        method: "GET",
        route: "batches/{id}",
        about: |known| (format!("batches/{}", known.batch), Value::Null),
        other_tenant: "404 not_found",
        other_user: "404 not_found",
        group_left: "404 not_found",
        not_admin: "404 not_found",
        viewer: "200",
        operator: "404 not_found",
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
        viewer: "403 forbidden",
        operator: "403 forbidden",
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
        viewer: "200",
        operator: "403 forbidden",
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
        viewer: "200",
        operator: "403 forbidden",
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
