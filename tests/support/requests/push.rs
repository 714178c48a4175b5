//! Pushes of many edits of one large resource.

use super::{
    Case, LARGE_BYTES, Request, Scale,
    text::{Client, create, item, nested_large, nested_patches, update, words},
};
use crate::Stack;

const ROUTE: (&str, &str) = ("POST", "sync/push");
/// The ordinary push whose edits are applied.
pub(super) const UPDATES: &str = "50 updates of 300 bytes";
/// The ordinary push whose edits conflict.
pub(super) const CONFLICTS: &str = "50 conflicting updates of 300 bytes";
/// Number of fields of the widest payload that is accepted, besides its `id`.
const FIELDS: usize = 499;

/// The cases of this module.
pub(super) const CASES: &[Case] = &[
    Case {
        route: ROUTE,
        name: UPDATES,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(updates(stack)),
    },
    Case {
        route: ROUTE,
        name: CONFLICTS,
        ordinary: None,
        policy: None,
        prepare: |stack, _| Box::pin(conflicts(stack)),
    },
    Case {
        route: ROUTE,
        name: "50 nested patches of a large resource",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(nested(stack)),
    },
    Case {
        route: ROUTE,
        name: "50 nested patches, merged onto an older base (field_merge)",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(nested_rejected(stack, "task", "ok")),
    },
    Case {
        route: ROUTE,
        name: "50 nested patches that conflict",
        ordinary: Some(CONFLICTS),
        policy: None,
        prepare: |stack, _| Box::pin(nested_rejected(stack, "meter", "conflict")),
    },
    Case {
        route: ROUTE,
        name: "50 nested patches, client_wins",
        ordinary: Some(UPDATES),
        policy: Some("client_wins"),
        prepare: |stack, _| Box::pin(nested_rejected(stack, "meter", "ok")),
    },
    Case {
        route: ROUTE,
        name: "50 nested patches, server_wins",
        ordinary: Some(CONFLICTS),
        policy: Some("server_wins"),
        prepare: |stack, _| Box::pin(nested_rejected(stack, "meter", "conflict")),
    },
    Case {
        route: ROUTE,
        name: "50 updates of 500 fields, merged onto an older base",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(wide(stack)),
    },
    Case {
        route: ROUTE,
        name: "one conflicting edit of a device with many conflicts about the resource",
        ordinary: Some(CONFLICTS),
        policy: None,
        prepare: |stack, scale| Box::pin(many_conflicts(stack, scale)),
    },
    Case {
        route: ROUTE,
        name: "50 updates of a resource with a large unique value",
        ordinary: Some(UPDATES),
        policy: None,
        prepare: |stack, _| Box::pin(large_unique_value(stack)),
    },
];

async fn updates(stack: &Stack) -> Request {
    let phone = Client::new(stack, "ana", "phone");
    super::text::create_meters(&phone, 50, |number| words(number, 250)).await;
    let items: Vec<String> = (0..50)
        .map(|number| update(&format!("m-{number}"), 1, 1, &words(number + 50, 250)))
        .collect();
    phone.pushing(&items, "ok")
}

async fn conflicts(stack: &Stack) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    super::text::create_meters(&phone, 50, |number| words(number, 250)).await;
    super::text::change_meters(&phone, 50, 1).await;
    let items: Vec<String> = (0..50)
        .map(|number| update(&format!("m-{number}"), 1, 1, &words(number + 50, 250)))
        .collect();
    tablet.pushing(&items, "conflict")
}

async fn nested(stack: &Stack) -> Request {
    let phone = Client::new(stack, "ana", "phone");
    phone.push(&[create("m", &nested_large())], "ok").await;
    phone.pushing(&nested_patches("meter", 1), "ok")
}

/// Prepares patches of a resource that another device has changed in the meantime.
async fn nested_rejected(stack: &Stack, kind: &str, status: &'static str) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    phone
        .push(&[item(kind, "create", "m", 0, 0, &nested_large())], "ok")
        .await;
    phone
        .push(&[item(kind, "update", "m", 1, 1, r#""q":1"#)], "ok")
        .await;
    tablet.pushing(&nested_patches(kind, 1), status)
}

/// Prepares edits that each change every field of a resource, with as many fields as a payload may
/// have.
async fn wide(stack: &Stack) -> Request {
    let fields = |value: u64, count: usize| {
        let field =
            |number: usize| format!(r#""field-{number:04}":"{}-{value:02}""#, "0".repeat(80));
        (0..count).map(field).collect::<Vec<_>>().join(",")
    };

    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    phone
        .push(
            &[item("task", "create", "m", 0, 0, &fields(0, FIELDS - 1))],
            "ok",
        )
        .await;
    phone
        .push(&[item("task", "update", "m", 1, 1, r#""q":1"#)], "ok")
        .await;

    let items: Vec<String> = (1..=50)
        .map(|version| {
            item(
                "task",
                "update",
                "m",
                1,
                version,
                &fields(version, FIELDS - 1),
            )
        })
        .collect();
    tablet.pushing(&items, "ok")
}

async fn many_conflicts(stack: &Stack, scale: Scale) -> Request {
    let (phone, tablet) = (
        Client::new(stack, "ana", "phone"),
        Client::new(stack, "ben", "tablet"),
    );
    phone.push(&[create("m", &words(0, 250))], "ok").await;
    phone.push(&[update("m", 1, 1, r#""n":1"#)], "ok").await;
    let edit = |number: usize| update("m", 1, 1 + number as u64, &words(number, 900));
    for push in 0..scale.pushes.min(60) {
        let items: Vec<String> = (push * 50..push * 50 + 50).map(edit).collect();
        tablet.push(&items, "conflict").await;
    }
    tablet.pushing(&[edit(1_000_000)], "conflict")
}

/// Prepares a push whose first edit claims the value of another resource, so that each other edit
/// is compared with the values that are known to be held.
async fn large_unique_value(stack: &Stack) -> Request {
    let phone = Client::new(stack, "ana", "phone");
    let code = format!(r#""code":"{}""#, "c".repeat(LARGE_BYTES));

    phone
        .push(
            &[create("holder", r#""code":"taken""#), create("m", &code)],
            "ok",
        )
        .await;

    let mut items = vec![update("m", 1, 1, r#""code":"taken""#)];
    items.extend((2..=50).map(|version| update("m", 1, version, &format!(r#""n":{version}"#))));
    Request {
        status: None,
        ..phone.pushing(&items, "ok")
    }
}
