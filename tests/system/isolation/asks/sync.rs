//! Requests of devices, and requests for what every caller may read.

use serde_json::{Value, json};
use tidemark_tests::Item;

use super::{
    super::{
        GROUP, OWN,
        ask::{Ask, Who},
    },
    item,
};

pub(super) const ASKS: &[Ask] = &[
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
        viewer: "200 channel_forbidden channel_forbidden",
        operator: "200 channel_forbidden channel_forbidden",
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
        viewer: "200 channel_forbidden channel_forbidden",
        operator: "200 channel_forbidden channel_forbidden",
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
        viewer: "200 invalid_media_key",
        operator: "200 invalid_media_key",
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
        viewer: "200",
        operator: "200",
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
        viewer: "200",
        operator: "200",
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
        viewer: "200",
        operator: "200",
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
        viewer: "200",
        operator: "200",
        owner: (Who::Ana, "batch"),
    },
    Ask {
        method: "GET",
        route: "me",
        about: |_| ("me".into(), Value::Null),
        other_tenant: "200",
        other_user: "200",
        group_left: "200",
        not_admin: "200",
        viewer: "200",
        operator: "200",
        owner: (Who::Ana, "user/ana"),
    },
];
