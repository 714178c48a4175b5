//! Pushes of many resources, and pushes of many bytes.

use std::{io::Write as _, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use tidemark::engine::http::NoHook;
use tidemark_core::{
    model::limits::{BODY_BYTES_MAX, MEDIA_KEYS_MAX},
    rules::media::MediaKey,
};
use uuid::Uuid;

use super::{
    Case, LARGE_BYTES, Request, Scale,
    push::{CONFLICTS, UPDATES},
    text::{Client, change_meters, create, create_meters, filler, item, objects, update, words},
};
use crate::Stack;

const ROUTE: (&str, &str) = ("POST", "sync/push");

/// The cases of this module.
pub(super) const CASES: &[Case] = &[
    Case {
        route: ROUTE,
        name: "50 small conflicting edits of large resources",
        ordinary: Some(CONFLICTS),
        policy: None,
        prepare: |stack, scale| Box::pin(large_rows(stack, scale)),
    },
    Case {
        route: ROUTE,
        name: "2,500 media keys that were made up",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(media_keys(stack, false)),
    },
    Case {
        route: ROUTE,
        name: "2,500 media keys without uploads",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(media_keys(stack, true)),
    },
    Case {
        route: ROUTE,
        name: "50 rejected items of 57 KB",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(rejected(stack)),
    },
    Case {
        route: ROUTE,
        name: "unique values that move among 50 resources",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(unique_chain(stack, 50, 250)),
    },
    Case {
        route: ROUTE,
        name: "unique values that move among large resources",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, scale| {
            Box::pin(unique_chain(stack, 50, scale.large_rows * LARGE_BYTES / 50))
        },
    },
    Case {
        route: ROUTE,
        name: "references between 50 items",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(references(stack)),
    },
    Case {
        route: ROUTE,
        name: "50 creates of the largest size",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(largest(stack)),
    },
    Case {
        route: ROUTE,
        name: "a gzip body at the limit",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(gzip(stack)),
    },
];

async fn large_rows(stack: &Stack, scale: Scale) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    create_meters(&phone, scale.large_rows, |number| {
        filler(number, LARGE_BYTES)
    })
    .await;
    change_meters(&phone, scale.large_rows, 1).await;
    let items: Vec<String> = (0..scale.large_rows)
        .map(|number| update(&format!("m-{number}"), 1, 1, r#""n":2"#))
        .collect();
    tablet.pushing(&items, "conflict")
}

/// Prepares a push whose items name as many media keys as they may. With `is_authentic`, the keys
/// were presigned, but nothing was uploaded.
async fn media_keys(stack: &Stack, is_authentic: bool) -> Request {
    let media = stack.media("presign", Arc::new(NoHook));
    let key = |number: usize| {
        let unique = Uuid::from_u128(number as u128);
        match is_authentic {
            true => {
                MediaKey::new("acme", "ana", unique, 20, "image/jpeg", media.keyring()).to_string()
            }
            false => format!("uploads/acme/ana/{}.20.image~jpeg.jpg", unique.simple()),
        }
    };

    let create = |number: usize| {
        let keys: Vec<String> = (0..MEDIA_KEYS_MAX)
            .map(|at| format!("\"{}\"", key(number * MEDIA_KEYS_MAX + at)))
            .collect();
        let fields = format!(r#""form_id":"f","data":{{}},"media":[{}]"#, keys.join(","));
        item(
            "submission",
            "create",
            &format!("s-{number}"),
            0,
            0,
            &fields,
        )
    };

    Client::new(stack, "ana", "phone").pushing(&(0..50).map(create).collect::<Vec<_>>(), "error")
}

async fn rejected(stack: &Stack) -> Request {
    let create = |number: usize| {
        item(
            "submission",
            "create",
            &format!("s-{number}"),
            0,
            0,
            &words(number, 57_000),
        )
    };
    Client::new(stack, "ana", "phone").pushing(&(0..50).map(create).collect::<Vec<_>>(), "error")
}

/// Prepares a push in which the first resource releases its unique value, and each other resource
/// claims the value of its predecessor.
async fn unique_chain(stack: &Stack, count: usize, bytes: usize) -> Request {
    let phone = Client::new(stack, "ana", "phone");
    create_meters(&phone, count, |number| {
        format!(r#""code":"c-{number}",{}"#, filler(number, bytes))
    })
    .await;
    let take = |number: usize| {
        let code = number
            .checked_sub(1)
            .map_or_else(|| "free".to_owned(), |before| format!("c-{before}"));
        update(&format!("m-{number}"), 1, 1, &format!(r#""code":"{code}""#))
    };
    phone.pushing(&(0..count).map(take).collect::<Vec<_>>(), "ok")
}

/// Prepares a push of tasks, each of which refers to a meter that the same batch creates. The last
/// task refers to the first meter.
async fn references(stack: &Stack) -> Request {
    let meter = |number: usize| {
        let temp_id = format!("0190f3a0-0000-7000-8000-{number:012}");
        create("", &words(number, 250))
            .replacen(r#""id":"","#, "", 1)
            .replacen('{', &format!(r#"{{"client_temp_id":"{temp_id}","#), 1)
    };
    let task = |number: usize| {
        let fields = format!(
            r#""meter_id":"0190f3a0-0000-7000-8000-{:012}",{}"#,
            24 - number,
            words(number, 250)
        );
        item("task", "create", &format!("t-{number}"), 0, 0, &fields)
    };

    let items: Vec<String> = (0..25).map(task).chain((0..25).map(meter)).collect();
    Client::new(stack, "ana", "phone").pushing(&items, "ok")
}

fn largest_items() -> Vec<String> {
    let bytes = BODY_BYTES_MAX / 50 - 200;
    (0..50)
        .map(|number| create(&format!("m-{number}"), &words(number, bytes)))
        .collect()
}

async fn largest(stack: &Stack) -> Request {
    Client::new(stack, "ana", "phone").pushing(&largest_items(), "ok")
}

/// Prepares a small gzip body that decompresses to the maximum size of a body.
async fn gzip(stack: &Stack) -> Request {
    let bytes = BODY_BYTES_MAX / 9 - 200;
    let items: Vec<String> = (0..9)
        .map(|number| create(&format!("m-{number}"), &objects(bytes)))
        .collect();
    let request = Client::new(stack, "ana", "phone").pushing(&items, "ok");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&request.body).unwrap();
    Request {
        body: encoder.finish().unwrap(),
        ..request
    }
}
