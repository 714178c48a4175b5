//! Pulls, acknowledgements and other requests of devices.

use serde_json::json;

use super::{
    Case, LARGE_BYTES, Request, Scale,
    text::{Client, create_meters, filler, item, send, update, words},
};
use crate::Stack;

const ROUTE: (&str, &str) = ("POST", "sync/pull");
const LOG: &str = "100 changes from the log";
const OWN_LOG: &str = "100 own changes in the log";
const SNAPSHOT: &str = "100 resources from a snapshot";
/// Number of resources that the pushes of [`large_log`] change.
const CHANGED: usize = 8;
/// Maximum number of groups in a JWT.
const GROUPS: usize = 100;

/// The cases of this module.
pub(super) const CASES: &[Case] = &[
    Case {
        route: ROUTE,
        name: LOG,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(log(stack, "ben")),
    },
    Case {
        route: ROUTE,
        name: OWN_LOG,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(log(stack, "ana")),
    },
    Case {
        route: ROUTE,
        name: SNAPSHOT,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(snapshot(stack)),
    },
    Case {
        route: ROUTE,
        name: "a log of pushes that change a field of 8 large resources",
        ordinary: Some(LOG),
        policy: None,
        prepare: |stack, scale| Box::pin(behind_large_log(stack, scale, "ben")),
    },
    Case {
        route: ROUTE,
        name: "own changes of 8 large resources in the log",
        ordinary: Some(OWN_LOG),
        policy: None,
        prepare: |stack, scale| Box::pin(behind_large_log(stack, scale, "ana")),
    },
    Case {
        route: ROUTE,
        name: "a first pull of deleted large resources",
        ordinary: Some(SNAPSHOT),
        policy: None,
        prepare: |stack, scale| Box::pin(large_snapshot(stack, 2 * scale.large_rows, true)),
    },
    Case {
        route: ROUTE,
        name: "a first pull of large resources",
        ordinary: Some(SNAPSHOT),
        policy: None,
        prepare: |stack, scale| Box::pin(large_snapshot(stack, scale.large_rows, false)),
    },
    Case {
        route: ROUTE,
        name: "a pull of 100 groups",
        ordinary: Some(LOG),
        policy: None,
        prepare: |stack, _| Box::pin(groups(stack)),
    },
    Case {
        route: ("GET", "sync/limits"),
        name: "the limits",
        ordinary: None,
        policy: None,
        prepare: |stack, _| {
            Box::pin(async { Request::get("sync/limits", stack.token("acme", "ana", &[], &[])) })
        },
    },
    Case {
        route: ("GET", "sync/limits"),
        name: "the limits, of 100 groups",
        ordinary: Some("the limits"),
        policy: None,
        prepare: |stack, _| {
            Box::pin(async { Request::get("sync/limits", token_of_groups(stack, "ana")) })
        },
    },
    Case {
        route: ("GET", "me"),
        name: "an identity",
        ordinary: None,
        policy: None,
        prepare: |stack, _| {
            Box::pin(async { Request::get("me", stack.token("acme", "ana", &[], &[])) })
        },
    },
    Case {
        route: ("GET", "me"),
        name: "an identity of 100 groups",
        ordinary: Some("an identity"),
        policy: None,
        prepare: |stack, _| Box::pin(async { Request::get("me", token_of_groups(stack, "ana")) }),
    },
    Case {
        route: ("POST", "sync/ack"),
        name: "an acknowledgement",
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(acknowledgement(stack, stack.token("acme", "ana", &[], &[]))),
    },
    Case {
        route: ("POST", "sync/ack"),
        name: "an acknowledgement of 100 groups",
        ordinary: Some("an acknowledgement"),
        policy: None,
        prepare: |stack, _| Box::pin(acknowledgement(stack, token_of_groups(stack, "ana"))),
    },
    Case {
        route: ("POST", "media/presign"),
        name: "an upload URL",
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(async { presign(stack, "photo.jpg", None) }),
    },
    Case {
        route: ("POST", "media/presign"),
        name: "an upload URL, with everything that may be named",
        ordinary: Some("an upload URL"),
        policy: None,
        prepare: |stack, _| {
            Box::pin(async { presign(stack, &"n".repeat(256), Some(&"a".repeat(64))) })
        },
    },
];

async fn log(stack: &Stack, user: &str) -> Request {
    let reader = reader(stack, user);
    let since = reader.since().await;
    create_meters(&Client::new(stack, "ana", "phone"), 100, |number| {
        words(number, 250)
    })
    .await;
    stack.settle().await;
    reader.pulling(&since, 100)
}

/// Returns the device that wrote the log of these cases, or another device.
fn reader<'a>(stack: &'a Stack, user: &str) -> Client<'a> {
    Client::new(stack, user, if user == "ana" { "phone" } else { "tablet" })
}

async fn snapshot(stack: &Stack) -> Request {
    create_meters(&Client::new(stack, "ana", "phone"), 100, |number| {
        words(number, 250)
    })
    .await;
    stack.settle().await;
    Client::new(stack, "ben", "tablet").pulling("null", 100)
}

/// Stores eight large resources and many small edits of them by the phone of `ana`. The log
/// contains every version.
pub(super) async fn large_log(stack: &Stack, scale: Scale) {
    let phone = Client::new(stack, "ana", "phone");
    create_meters(&phone, CHANGED, |number| filler(number, LARGE_BYTES)).await;

    for version in 1..=scale.pushes as u64 {
        let edit = |number: usize| {
            update(
                &format!("m-{number}"),
                version,
                version,
                &format!(r#""n":{version}"#),
            )
        };
        phone
            .push(&(0..CHANGED).map(edit).collect::<Vec<_>>(), "ok")
            .await;
        stack.settle().await;
    }
}

async fn behind_large_log(stack: &Stack, scale: Scale, user: &str) -> Request {
    let reader = reader(stack, user);
    let since = reader.since().await;
    large_log(stack, scale).await;
    reader.pulling(&since, 500)
}

async fn large_snapshot(stack: &Stack, count: usize, is_deleted: bool) -> Request {
    let phone = Client::new(stack, "ana", "phone");
    create_meters(&phone, count, |number| filler(number, LARGE_BYTES)).await;
    if is_deleted {
        let items: Vec<String> = (0..count)
            .map(|number| item("meter", "delete", &format!("m-{number}"), 1, 1, ""))
            .collect();
        for some in items.chunks(50) {
            phone.push(some, "ok").await;
        }
    }
    stack.settle().await;
    Client::new(stack, "ben", "tablet").pulling("null", 500)
}

/// Returns a token of a user who is in as many groups as a token may name.
pub(super) fn token_of_groups(stack: &Stack, user: &str) -> String {
    let groups: Vec<String> = (0..GROUPS)
        .map(|number| format!("group-{number:03}-{}", "g".repeat(30)))
        .collect();
    stack.token(
        "acme",
        user,
        &[],
        &groups.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

async fn groups(stack: &Stack) -> Request {
    let ana = Client {
        token: token_of_groups(stack, "ana"),
        ..Client::new(stack, "ana", "phone")
    };
    let since = ana.since().await;
    ana.pulling(&since, 500)
}

/// Prepares the acknowledgement of everything that a token can read.
async fn acknowledgement(stack: &Stack, token: String) -> Request {
    let since = Client {
        token: token.clone(),
        ..Client::new(stack, "ana", "phone")
    }
    .since()
    .await;
    Request::post(
        "sync/ack",
        token,
        format!(r#"{{"ack_token":{since},"device_id":"phone"}}"#),
    )
}

/// Acknowledges as a user who is in many groups.
pub(super) async fn acknowledge(stack: &Stack, user: &str) {
    let request = acknowledgement(stack, token_of_groups(stack, user)).await;
    send(
        stack,
        "POST",
        "sync/ack",
        &request.token,
        String::from_utf8(request.body).unwrap(),
    )
    .await;
}

fn presign(stack: &Stack, filename: &str, sha256: Option<&str>) -> Request {
    let body = json!({"filename": filename, "content_type": "image/jpeg", "content_length": 20, "sha256": sha256});
    Request::post(
        "media/presign",
        stack.token("acme", "ana", &[], &[]),
        body.to_string(),
    )
}
