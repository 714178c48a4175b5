//! Requests for batches and for the lists of admins.

use tidemark_core::model::limits::BODY_BYTES_MAX;

use super::{
    Case, LARGE_BYTES, Request, Scale,
    pull::{acknowledge, large_log},
    text::{
        Client, admin, create, create_meters, filler, item, nested_large, nested_patches, send,
        update, words,
    },
};
use crate::Stack;

const DEVICES: (&str, &str) = ("GET", "devices");
const BATCH: (&str, &str) = ("GET", "batches/{id}");
const REPLAY: (&str, &str) = ("POST", "batches/{id}/replay");
const AUDIT: (&str, &str) = ("GET", "audit");
const STATUS: (&str, &str) = ("GET", "status");
const OWN_DEVICES: &str = "the devices of a user";
const SMALL_BATCH: &str = "a batch of 50 items of 300 bytes";
const SMALL_REPLAY: &str = "a replay of 50 rejected items of 300 bytes";
const SMALL_AUDIT: &str = "50 decisions of 300 bytes";
const QUIET_STATUS: &str = "the status of a channel of 100 resources";

/// The cases of this module.
pub(super) const CASES: &[Case] = &[
    Case {
        route: DEVICES,
        name: OWN_DEVICES,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(own_devices(stack)),
    },
    Case {
        route: DEVICES,
        name: "200 devices of 100 groups each",
        ordinary: Some(OWN_DEVICES),
        policy: None,
        prepare: |stack, scale| Box::pin(all_devices(stack, scale)),
    },
    Case {
        route: BATCH,
        name: SMALL_BATCH,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(async { show(batch(stack, rejected(250)).await, stack) }),
    },
    Case {
        route: BATCH,
        name: "a batch of the largest size",
        ordinary: Some(SMALL_BATCH),
        policy: None,
        prepare: |stack, _| {
            Box::pin(async {
                show(
                    batch(stack, rejected(BODY_BYTES_MAX / 50 - 200)).await,
                    stack,
                )
            })
        },
    },
    Case {
        route: REPLAY,
        name: SMALL_REPLAY,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(async { replay(batch(stack, rejected(250)).await, stack) }),
    },
    Case {
        route: REPLAY,
        name: "a replay of the largest size",
        ordinary: Some(SMALL_REPLAY),
        policy: None,
        prepare: |stack, _| {
            Box::pin(async {
                replay(
                    batch(stack, rejected(BODY_BYTES_MAX / 50 - 200)).await,
                    stack,
                )
            })
        },
    },
    Case {
        route: REPLAY,
        name: "a replay of 50 nested patches of a large resource",
        ordinary: Some(SMALL_REPLAY),
        policy: None,
        prepare: |stack, _| Box::pin(replay_nested(stack)),
    },
    Case {
        route: AUDIT,
        name: SMALL_AUDIT,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(audit(stack, 50, 250)),
    },
    Case {
        route: AUDIT,
        name: "200 decisions about a large resource",
        ordinary: Some(SMALL_AUDIT),
        policy: None,
        prepare: |stack, scale| Box::pin(audit(stack, scale.entries, LARGE_BYTES)),
    },
    Case {
        route: STATUS,
        name: QUIET_STATUS,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(quiet_status(stack)),
    },
    Case {
        route: STATUS,
        name: "the status of a channel with a log of 8 large resources",
        ordinary: Some(QUIET_STATUS),
        policy: None,
        prepare: |stack, scale| Box::pin(large_status(stack, scale)),
    },
];

async fn own_devices(stack: &Stack) -> Request {
    let ana = Client::new(stack, "ana", "phone");
    let since = ana.since().await;
    ana.send(
        "POST",
        "sync/ack",
        format!(r#"{{"ack_token":{since},"device_id":"phone"}}"#),
    )
    .await;
    Request::get("devices", ana.token)
}

async fn all_devices(stack: &Stack, scale: Scale) -> Request {
    for number in 0..scale.entries {
        acknowledge(stack, &format!("user-{number}")).await;
    }
    Request::get(
        format!("devices?scope=tenant&limit={}", scale.entries),
        admin(stack),
    )
}

/// Returns items that lack a required field.
fn rejected(bytes: usize) -> Vec<String> {
    (0..50)
        .map(|number| {
            item(
                "submission",
                "create",
                &format!("s-{number}"),
                0,
                0,
                &words(number, bytes),
            )
        })
        .collect()
}

/// Pushes a batch of these items and returns its id.
async fn batch(stack: &Stack, items: Vec<String>) -> String {
    let phone = Client::new(stack, "ana", "phone");
    phone.push(&items, "error").await["batch_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn show(id: String, stack: &Stack) -> Request {
    Request::get(format!("batches/{id}"), admin(stack))
}

fn replay(id: String, stack: &Stack) -> Request {
    Request::post(format!("batches/{id}/replay"), admin(stack), "{}")
}

/// Prepares the replay of a batch that conflicted when it was pushed and conflicts again.
async fn replay_nested(stack: &Stack) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    phone.push(&[create("m", &nested_large())], "ok").await;
    phone.push(&[update("m", 1, 1, r#""q":1"#)], "ok").await;
    let response = tablet.push(&nested_patches("meter", 1), "conflict").await;
    replay(response["batch_id"].as_str().unwrap().to_owned(), stack)
}

/// Prepares an audit log whose entries contain the payloads before and after a resolution.
async fn audit(stack: &Stack, count: usize, bytes: usize) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    let root = admin(stack);
    phone.push(&[create("m", &filler(0, bytes))], "ok").await;
    phone.push(&[update("m", 1, 1, r#""q":1"#)], "ok").await;

    for number in 0..count as u64 {
        let response = tablet
            .push(
                &[update("m", 1, number + 1, &format!(r#""n":{number}"#))],
                "conflict",
            )
            .await;
        let id = response["results"][0]["conflict_id"].as_str().unwrap();
        send(
            stack,
            "POST",
            &format!("conflicts/{id}/resolve"),
            &root,
            r#"{"resolution":"accept_client"}"#.to_owned(),
        )
        .await;
    }

    Request::get(format!("audit?limit={count}"), root)
}

async fn quiet_status(stack: &Stack) -> Request {
    create_meters(&Client::new(stack, "ana", "phone"), 100, |number| {
        words(number, 250)
    })
    .await;
    stack.settle().await;
    Request::get("status?channel=tenant", admin(stack))
}

/// Prepares a status request that reads the whole log, because the log lacks one resource.
async fn large_status(stack: &Stack, scale: Scale) -> Request {
    large_log(stack, scale).await;
    Client::new(stack, "ana", "phone")
        .push(&[create("not-in-the-log", "")], "ok")
        .await;
    Request::get("status?channel=tenant", admin(stack))
}
