//! Requests that read and resolve conflicts.

use tidemark_core::model::limits::WAS_BYTES_MAX;

use super::{
    Case, LARGE_BYTES, Request, Scale,
    pull::large_log,
    text::{
        Client, admin, change_meters, create, create_meters, filler, nested, nested_large, numbers,
        send, update, words,
    },
};
use crate::Stack;

const LIST: (&str, &str) = ("GET", "conflicts");
const SUMMARY: (&str, &str) = ("GET", "conflicts/summary");
const GET: (&str, &str) = ("GET", "conflicts/{id}");
const RESOLVE: (&str, &str) = ("POST", "conflicts/{id}/resolve");
const BULK: (&str, &str) = ("POST", "conflicts/resolve");
const ACCEPT: &str = r#"{"resolution":"accept_client"}"#;
const LISTED: &str = "50 conflicts of 300 bytes";
const COUNTED: &str = "the number of 50 conflicts";
const SHOWN: &str = "a conflict of 300 bytes";
const ACCEPTED: &str = "accept_client of an edit of 300 bytes";
const BULK_ACCEPTED: &str = "accept_client of 2 edits of 300 bytes";

/// The cases of this module.
pub(super) const CASES: &[Case] = &[
    Case {
        route: LIST,
        name: LISTED,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(list(stack, 50, 1, 250)),
    },
    Case {
        route: LIST,
        name: "200 conflicts of 50 edits of 1 KB",
        ordinary: Some(LISTED),
        policy: None,
        prepare: |stack, scale| Box::pin(list(stack, scale.entries, 50, 900)),
    },
    Case {
        route: LIST,
        name: "200 conflicts of 57 KB",
        ordinary: Some(LISTED),
        policy: None,
        prepare: |stack, scale| Box::pin(list(stack, scale.entries, 1, 57_000)),
    },
    Case {
        route: LIST,
        name: "200 conflicts of large resources",
        ordinary: Some(LISTED),
        policy: None,
        prepare: |stack, scale| Box::pin(list_of_large(stack, scale)),
    },
    Case {
        route: LIST,
        name: "200 conflicts of any status, by type, user and code",
        ordinary: Some(LISTED),
        policy: None,
        prepare: |stack, scale| Box::pin(filtered(stack, scale.entries)),
    },
    Case {
        route: SUMMARY,
        name: COUNTED,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(summary(stack, 50)),
    },
    Case {
        route: SUMMARY,
        name: "the number of 200 conflicts",
        ordinary: Some(COUNTED),
        policy: None,
        prepare: |stack, scale| Box::pin(summary(stack, scale.entries)),
    },
    Case {
        route: GET,
        name: SHOWN,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(show(stack, 1, 250)),
    },
    Case {
        route: GET,
        name: "a conflict of 100 large edits",
        ordinary: Some(SHOWN),
        policy: None,
        prepare: |stack, scale| Box::pin(show(stack, scale.edits, LARGE_BYTES)),
    },
    Case {
        route: GET,
        name: "a conflict of 100 large edits with was",
        ordinary: Some(SHOWN),
        policy: None,
        prepare: |stack, scale| Box::pin(show_with_was(stack, scale.edits)),
    },
    Case {
        route: GET,
        name: "a decided conflict before a log of 8 large resources",
        ordinary: Some(SHOWN),
        policy: None,
        prepare: |stack, scale| Box::pin(resolved(stack, scale)),
    },
    Case {
        route: RESOLVE,
        name: ACCEPTED,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(accept(stack, 1, 250)),
    },
    Case {
        route: RESOLVE,
        name: "accept_client of 100 large edits",
        ordinary: Some(ACCEPTED),
        policy: None,
        prepare: |stack, scale| Box::pin(accept(stack, scale.edits, LARGE_BYTES)),
    },
    Case {
        route: RESOLVE,
        name: "accept_client of 100 nested patches of a large resource",
        ordinary: Some(ACCEPTED),
        policy: None,
        prepare: |stack, scale| Box::pin(accept_nested(stack, scale.edits)),
    },
    Case {
        route: BULK,
        name: BULK_ACCEPTED,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(bulk(stack, 2, 250)),
    },
    Case {
        route: BULK,
        name: "accept_client of 25 large edits",
        ordinary: Some(BULK_ACCEPTED),
        policy: None,
        prepare: |stack, scale| Box::pin(bulk(stack, scale.large_rows.min(25), LARGE_BYTES)),
    },
];

/// Prepares a list with one conflict for each of `count` resources.
async fn list(stack: &Stack, count: usize, edits: usize, bytes: usize) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    create_meters(&phone, count, |number| words(number, 250)).await;
    change_meters(&phone, count, 1).await;

    let edit = |at: usize| {
        let (number, edit) = (at / edits, at % edits);
        update(
            &format!("m-{number}"),
            1,
            edit as u64 + 1,
            &words(count + at, bytes),
        )
    };

    let all: Vec<String> = (0..count * edits).map(edit).collect();
    for some in all.chunks((2_900_000 / (bytes + 200)).min(50)) {
        tablet.push(some, "conflict").await;
    }
    Request::get(format!("conflicts?limit={count}"), admin(stack))
}

/// Prepares a list like [`list`], with filters, of conflicts with any status.
async fn filtered(stack: &Stack, count: usize) -> Request {
    list(stack, count, 1, 900).await;
    let filters = "status=all&order=newest&type=meter&user=ben&code=version_mismatch";
    Request::get(format!("conflicts?{filters}&limit={count}"), admin(stack))
}

async fn summary(stack: &Stack, count: usize) -> Request {
    list(stack, count, 1, 250).await;
    Request::get("conflicts/summary", admin(stack))
}

/// Prepares a list of conflicts about large resources, each edited by devices of several users.
async fn list_of_large(stack: &Stack, scale: Scale) -> Request {
    let phone = Client::new(stack, "ana", "phone");
    create_meters(&phone, scale.large_rows, |number| {
        filler(number, LARGE_BYTES)
    })
    .await;
    change_meters(&phone, scale.large_rows, 1).await;
    let items: Vec<String> = (0..scale.large_rows)
        .map(|number| update(&format!("m-{number}"), 1, 1, r#""n":2"#))
        .collect();

    for user in ["ben", "cem", "dan", "eva"] {
        Client::new(stack, user, "tablet")
            .push(&items, "conflict")
            .await;
    }

    Request::get(
        format!("conflicts?limit={}", (4 * scale.large_rows).min(200)),
        admin(stack),
    )
}

/// Creates a conflict of this many edits with these fields and returns its id.
async fn conflict(
    stack: &Stack,
    fields: &str,
    edits: usize,
    edit: impl Fn(usize) -> String,
) -> String {
    let item = |number| update("m", 1, number as u64 + 1, &edit(number));
    conflict_of(stack, fields, (0..edits).map(item).collect()).await
}

/// Creates a conflict of these items and returns its id. `fields` are those of the first version.
async fn conflict_of(stack: &Stack, fields: &str, items: Vec<String>) -> String {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    phone.push(&[create("m", fields)], "ok").await;
    phone.push(&[update("m", 1, 1, r#""q":1"#)], "ok").await;

    let bytes = items.first().map_or(1, String::len);
    let mut ids = Vec::new();
    for some in items.chunks((2_900_000 / bytes).clamp(1, 50)) {
        let response = tablet.push(some, "conflict").await;
        ids.extend(
            response["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["conflict_id"].as_str().unwrap().to_owned()),
        );
    }

    ids.dedup();
    assert_eq!(ids.len(), 1, "all edits are part of one conflict");
    ids.remove(0)
}

async fn show(stack: &Stack, edits: usize, bytes: usize) -> Request {
    let id = conflict(stack, &filler(0, bytes), edits, |number| {
        filler(number + 1, bytes)
    })
    .await;
    Request::get(format!("conflicts/{id}"), admin(stack))
}

/// Prepares a conflict of edits with different `was` of the largest size.
async fn show_with_was(stack: &Stack, edits: usize) -> Request {
    let item = |number: usize| {
        let item = update("m", 1, number as u64 + 1, &filler(number + 1, LARGE_BYTES));
        let was = format!(r#"{{"f":{number},{}}}"#, numbers(WAS_BYTES_MAX - 100));
        format!(r#"{},"was":{was}}}"#, &item[..item.len() - 1])
    };
    let items = (0..edits).map(item).collect();
    let id = conflict_of(stack, &filler(0, LARGE_BYTES), items).await;
    Request::get(format!("conflicts/{id}"), admin(stack))
}

async fn accept(stack: &Stack, edits: usize, bytes: usize) -> Request {
    let id = conflict(stack, &filler(0, bytes), edits, |number| {
        filler(number + 1, bytes)
    })
    .await;
    Request::post(format!("conflicts/{id}/resolve"), admin(stack), ACCEPT)
}

/// Prepares a bulk resolution of one conflict for each of `count` resources.
async fn bulk(stack: &Stack, count: usize, bytes: usize) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    create_meters(&phone, count, |number| filler(number, bytes)).await;
    change_meters(&phone, count, 1).await;

    let mut conflicts = Vec::new();
    for number in 0..count {
        let edit = update(&format!("m-{number}"), 1, 1, &filler(count + number, bytes));
        let response = tablet.push(&[edit], "conflict").await;
        let id = response["results"][0]["conflict_id"].as_str().unwrap();
        conflicts.push(format!(r#"{{"id":"{id}","expected_server_version":2}}"#));
    }

    let conflicts = conflicts.join(",");
    let body = format!(r#"{{"conflicts":[{conflicts}],"resolution":"accept_client"}}"#);
    Request::post("conflicts/resolve", admin(stack), body)
}

async fn accept_nested(stack: &Stack, edits: usize) -> Request {
    let id = conflict(stack, &nested_large(), edits, |number| {
        nested(&format!(r#""k":"{number}""#))
    })
    .await;
    Request::post(format!("conflicts/{id}/resolve"), admin(stack), ACCEPT)
}

/// Prepares a resolved conflict about which only the log shows whether the resolution was
/// delivered.
async fn resolved(stack: &Stack, scale: Scale) -> Request {
    let id = conflict(stack, &words(0, 250), 1, |number| words(number + 1, 250)).await;
    send(
        stack,
        "POST",
        &format!("conflicts/{id}/resolve"),
        &admin(stack),
        ACCEPT.to_owned(),
    )
    .await;

    large_log(stack, scale).await;
    let ben = Client::new(stack, "ben", "tablet");
    let since = ben.since().await;
    ben.send(
        "POST",
        "sync/ack",
        format!(r#"{{"ack_token":{since},"device_id":"tablet"}}"#),
    )
    .await;

    Request::get(format!("conflicts/{id}"), admin(stack))
}
