//! Requests about batches and for the lists of admins.

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
const BATCHES: (&str, &str) = ("GET", "batches");
const REPLAY_MANY: (&str, &str) = ("POST", "batches/replay");
const CORRECT: (&str, &str) = ("POST", "batches/{id}/items/{index}/correct");
const AUDIT: (&str, &str) = ("GET", "audit");
const STATUS: (&str, &str) = ("GET", "status");
const OWN_DEVICES: &str = "the devices of a user";
const SMALL_BATCH: &str = "a batch of 50 items of 300 bytes";
const SMALL_REPLAY: &str = "a replay of 50 rejected items of 300 bytes";
const FAILED_BATCHES: &str = "50 failed batches";
const TWO_REPLAYS: &str = "a replay of 2 batches of 50 rejected items of 300 bytes";
const SMALL_CORRECTION: &str = "a correction of an item of 300 bytes";
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
        route: BATCHES,
        name: FAILED_BATCHES,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(failed_batches(stack, 50)),
    },
    Case {
        route: BATCHES,
        name: "200 batches, none of which lacks results",
        ordinary: Some(FAILED_BATCHES),
        policy: None,
        prepare: |stack, scale| Box::pin(answered_batches(stack, scale.entries)),
    },
    Case {
        route: REPLAY_MANY,
        name: TWO_REPLAYS,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(replay_many(stack, 2, 250)),
    },
    Case {
        route: REPLAY_MANY,
        name: "a replay of 4 batches of the largest size",
        ordinary: Some(TWO_REPLAYS),
        policy: None,
        prepare: |stack, _| Box::pin(replay_many(stack, 4, BODY_BYTES_MAX / 50 - 200)),
    },
    Case {
        route: CORRECT,
        name: SMALL_CORRECTION,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(correct(stack, 250, 250)),
    },
    Case {
        route: CORRECT,
        name: "a correction by a large payload in a batch of the largest size",
        ordinary: Some(SMALL_CORRECTION),
        policy: None,
        prepare: |stack, _| Box::pin(correct(stack, BODY_BYTES_MAX / 50 - 200, LARGE_BYTES)),
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

/// Prepares a list of this many batches with errors.
async fn failed_batches(stack: &Stack, count: usize) -> Request {
    for _ in 0..count {
        batch(stack, rejected(10)[..1].to_vec()).await;
    }
    Request::get(format!("batches?limit={count}"), admin(stack))
}

/// Prepares a list that examines this many batches and returns none.
async fn answered_batches(stack: &Stack, count: usize) -> Request {
    failed_batches(stack, count).await;
    stack.advance(chrono::Duration::minutes(2));
    Request::get("batches?outcome=unanswered&limit=200", admin(stack))
}

/// Prepares the replay of this many batches, whose items are rejected again.
async fn replay_many(stack: &Stack, count: usize, bytes: usize) -> Request {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(batch(stack, rejected(bytes)).await);
    }
    let body = serde_json::json!({"batch_ids": ids}).to_string();
    Request::post("batches/replay", admin(stack), body)
}

/// Prepares the correction of the first item of a batch with items of `bytes` bytes.
async fn correct(stack: &Stack, bytes: usize, corrected_bytes: usize) -> Request {
    let id = batch(stack, rejected(bytes)).await;
    let fields = filler(0, corrected_bytes);
    let payload = format!(r#"{{"id":"s-0","form_id":"f","data":1,{fields}}}"#);
    Request::post(
        format!("batches/{id}/items/0/correct"),
        admin(stack),
        format!(r#"{{"payload":{payload}}}"#),
    )
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
