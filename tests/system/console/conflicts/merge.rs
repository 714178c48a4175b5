//! The merge of one conflict by field.

use serde_json::{Value, json};
use tidemark_tests::{Stack, scenario};

use super::{admin, conflict_of, conflicted, edit, open, outcome, push, send, store, stored};
use crate::console::{browser::Browser, deployment};

const BASE: &str = r#"{"z":1.0,"reading":44,"big":9007199254740993,"a":1e300,"u":"\u00fc"}"#;

/// A conflict with the picks of a person, and the payload that they result in.
struct MergeCase {
    payloads: [&'static str; 3],
    picks: &'static [(&'static str, &'static str)],
    stored: &'static str,
    resolution: &'static str,
}

const CASES: &[MergeCase] = &[
    MergeCase {
        payloads: [
            BASE,
            r#"{"reading":50.0}"#,
            r#"{"reading":42.50,"note":"x"}"#,
        ],
        picks: &[("/reading", "device")],
        stored: r#"{"z":1.0,"reading":42.50,"big":9007199254740993,"a":1e300,"u":"\u00fc","note":"x"}"#,
        resolution: "accept_client",
    },
    MergeCase {
        payloads: [
            BASE,
            r#"{"reading":50.0}"#,
            r#"{"reading":42.50,"note":"x"}"#,
        ],
        picks: &[("/reading", "server"), ("/note", "remove")],
        stored: r#"{"z":1.0,"reading":50.0,"big":9007199254740993,"a":1e300,"u":"\u00fc"}"#,
        resolution: "accept_server",
    },
    MergeCase {
        payloads: [
            BASE,
            r#"{"reading":50.0}"#,
            r#"{"reading":42.50,"note":"x"}"#,
        ],
        picks: &[("/reading", "server")],
        stored: r#"{"z":1.0,"reading":50.0,"big":9007199254740993,"a":1e300,"u":"\u00fc","note":"x"}"#,
        resolution: "manual_merge",
    },
    MergeCase {
        payloads: [
            BASE,
            r#"{"reading":50.0,"z":null}"#,
            r#"{"reading":42.50,"big":1e0}"#,
        ],
        picks: &[("/reading", "base"), ("/z", "base"), ("/big", "server")],
        stored: r#"{"reading":44,"big":9007199254740993,"a":1e300,"u":"\u00fc","z":1.0}"#,
        resolution: "manual_merge",
    },
    MergeCase {
        payloads: [
            r#"{"n":{"y":9007199254740993,"x":1,"w":3.0},"b":"<img>"}"#,
            r#"{"n":{"x":2.50}}"#,
            r#"{"n":{"x":3.0,"w":null,"new":[1.0,2]}}"#,
        ],
        picks: &[("/n/x", "device")],
        stored: r#"{"n":{"y":9007199254740993,"x":3.0,"new":[1.0,2]},"b":"<img>"}"#,
        resolution: "accept_client",
    },
];

#[tokio::test]
async fn picks_preserve_digits_and_order() {
    for (number, case) in CASES.iter().enumerate() {
        let stack = deployment();
        let id = conflicted(&stack, "m-1", case.payloads).await;
        let mut browser = admin(&stack);
        let mut form = open(&mut browser, &id).await;
        for (pointer, value) in case.picks {
            form.pick(pointer, value);
        }
        form.enter("note", "Ana was there");
        store(&mut browser, &form).await;

        let expected = (3, case.stored.to_owned());
        assert_eq!(stored(&stack, "m-1"), expected, "case {number}");
        let outcome = outcome(&stack, &id).await;
        assert_eq!(outcome["resolution"], case.resolution, "case {number}");
        assert_eq!(outcome["note"], "Ana was there", "case {number}");
    }
}

#[tokio::test]
async fn entered_value_is_stored_as_written() {
    let texts = [
        "7.10",
        "1E+2",
        "9007199254740993.0",
        "[1.0, {\"b\":2,\"a\":1}]",
        "\"\\u00fc\"",
    ];
    for text in texts {
        let stack = deployment();
        let id = conflicted(
            &stack,
            "m-1",
            [BASE, r#"{"reading":50}"#, r#"{"reading":42}"#],
        )
        .await;
        let mut browser = admin(&stack);
        let mut form = open(&mut browser, &id).await;
        form.pick("/reading", "value");
        form.enter("value:/reading", text);
        store(&mut browser, &form).await;

        let expected = BASE.replace("44", text);
        assert_eq!(stored(&stack, "m-1"), (3, expected));
    }
}

/// All fields of one side are the resolution that has this effect, in the audit log, too.
#[tokio::test]
async fn one_side_is_accepted_as_a_whole() {
    for (side, resolution) in [("server", "accept_server"), ("device", "accept_client")] {
        for case in CASES {
            let stack = deployment();
            let [base, _, device] = case.payloads;
            // Only the device changes content, so its result is that of its edits.
            let id = conflicted(&stack, "m-1", [base, r#"{"seen":true}"#, device]).await;
            let before = stored(&stack, "m-1").1;
            let mut browser = admin(&stack);
            let mut form = open(&mut browser, &id).await;
            if side == "server" {
                let shown = send(&mut browser, &form, "server").await;
                assert_eq!(shown.status, 200);
                form = super::Form::of(&shown.text);
            }
            store(&mut browser, &form).await;

            assert_eq!(outcome(&stack, &id).await["resolution"], resolution);
            let (_, after) = stored(&stack, "m-1");
            assert_eq!(after == before, side == "server", "{after}");
            let entries = scenario::audit_entries(&stack, "").await;
            assert_eq!(entries[0]["resolution"], resolution);
        }
    }
}

#[tokio::test]
async fn take_all_selects_and_does_not_store() {
    let stack = deployment();
    let server = r#"{"reading":50.0,"z":2.0}"#;
    let device = r#"{"reading":42.50,"note":"x"}"#;
    let id = conflicted(&stack, "m-1", [BASE, server, device]).await;
    let mut browser = admin(&stack);
    let form = open(&mut browser, &id).await;
    for side in ["device", "server"] {
        let shown = send(&mut browser, &form, side).await;
        let form = super::Form::of(&shown.text);
        for pointer in ["/reading", "/note"] {
            assert_eq!(form.picked(pointer), Some(side), "{pointer}");
        }
        assert_eq!(
            form.picked("/z"),
            Some("server"),
            "only the server changed it"
        );
        assert!(shown.text.contains("Every field is decided."));
    }
    assert_eq!(stored(&stack, "m-1").0, 2);
}

#[tokio::test]
async fn incomplete_form_is_shown_again() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", CASES[0].payloads).await;
    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.enter("note", "<b>why</b>");
    form.pick("/note", "value");
    form.enter("value:/note", "in cellar");
    form.enter("value:/z", "2");

    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 422);
    for text in [
        "/reading: decide which value is stored",
        "/note: not valid JSON",
        "/z: select &quot;this value&quot;",
    ] {
        assert!(again.text.contains(text), "{text} in {}", again.text);
    }
    assert_eq!(stored(&stack, "m-1").0, 2);

    let mut form = super::Form::of(&again.text);
    assert_eq!(form.picked("/reading"), None);
    assert_eq!(form.picked("/note"), Some("value"));
    assert_eq!(form.value("value:/note"), "in cellar");
    assert_eq!(form.value("value:/z"), "2");
    assert_eq!(form.value("note"), "<b>why</b>");

    form.enter("value:/note", "\"in cellar\"");
    form.enter("value:/z", "");
    form.pick("/reading", "server");
    store(&mut browser, &form).await;
    assert!(stored(&stack, "m-1").1.contains(r#""note":"in cellar""#));
}

#[tokio::test]
async fn rejected_content_is_reported_at_its_field() {
    let stack = deployment();
    push(
        &stack,
        "office",
        &[edit("create", "m-2", 0, r#"{"code":"B"}"#)],
    )
    .await;
    let payloads = [r#"{"code":"A","x":1}"#, r#"{"x":2}"#, r#"{"x":3}"#];
    let id = conflicted(&stack, "m-1", payloads).await;
    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("/x", "device");
    form.pick("/code", "value");
    form.enter("value:/code", "\"B\"");

    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(
        again
            .text
            .contains("another resource holds the value of code")
    );
    let form = super::Form::of(&again.text);
    assert_eq!(form.picked("/code"), Some("value"));
    assert_eq!(form.picked("/x"), Some("device"));
    assert!(again.text.contains("class=\"invalid\""), "{}", again.text);
    assert_eq!(stored(&stack, "m-1").0, 2);
}

/// Pushes an update of Ana's submission from one of her devices. Returns the result.
async fn submit(stack: &Stack, device: &str, action: &str, fields: &str) -> Value {
    let version = u8::from(action == "update");
    let body = format!(
        r#"{{"device_id":"{device}","client_sync_token":null,"items":[{{
        "resource_type":"submission","action":"{action}","client_version":{version},
        "base_version":{version},"payload":{{"id":"s-1",{fields}}}}}]}}"#
    );
    let token = stack.token("acme", "ana", &[], &[]);
    let sent = stack.post_bytes("sync/push", Some(&token), body.as_bytes());
    sent.await.ok()["results"][0].clone()
}

#[tokio::test]
async fn unverified_media_key_is_rejected() {
    let stack = deployment();
    submit(&stack, "pc", "create", r#""form_id":"f","data":1"#).await;
    submit(&stack, "pc", "update", r#""media":[],"data":2"#).await;
    let id = conflict_of(&submit(&stack, "phone", "update", r#""data":3"#).await);
    stack.settle().await;

    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("/data", "device");
    form.pick("/media", "value");
    form.enter("value:/media", r#"["uploads/<b>"]"#);
    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 422, "{}", again.text);
    assert!(again.text.contains("was not verified"), "{}", again.text);
    assert!(again.text.contains("class=\"invalid\""), "{}", again.text);
    assert!(!again.text.contains("<b>"), "{}", again.text);
}

#[tokio::test]
async fn page_shows_payloads_as_text() {
    let stack = deployment();
    let image = r#""<img src=x onerror=alert(1)>\u202e""#;
    let fields = |n: u8| format!(r#"{{"<b>\u202e":{n},"text":{image},"n":{n}}}"#);
    let payloads = [fields(1), fields(2), fields(3)];
    let id = conflicted(&stack, "m-1", payloads.each_ref().map(String::as_str)).await;
    for role in ["admin", "viewer"] {
        let mut browser = Browser::signed_in(&stack, &[role]);
        let page = browser.get(&format!("conflicts/{id}")).await;
        assert_eq!(page.status, 200);
        assert!(
            !page.text.contains("<img") && !page.text.contains("<b>"),
            "{}",
            page.text
        );
        assert!(page.text.contains("&lt;img src=x"), "{}", page.text);
        assert!(page.text.contains("[U+202E]"), "{}", page.text);
    }
}

#[tokio::test]
async fn viewer_cannot_resolve() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", CASES[0].payloads).await;
    let mut form = open(&mut admin(&stack), &id).await;
    form.pick("/reading", "device");

    let mut viewer = Browser::signed_in(&stack, &["viewer"]);
    let page = viewer.get(&format!("conflicts/{id}")).await;
    assert_eq!(page.status, 200);
    let (_, main) = page.text.split_once("<main").unwrap();
    assert!(!main.contains("<form"), "{main}");
    assert_eq!(send(&mut viewer, &form, "store").await.status, 403);
    assert_eq!(stored(&stack, "m-1").0, 2);
}

#[tokio::test]
async fn other_tenants_conflict_is_not_found() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", CASES[0].payloads).await;
    let form = open(&mut admin(&stack), &id).await;
    let token = stack.token("umbrella", "eve", &["admin"], &[]);
    let mut other = Browser::with_token(&stack, &token);
    assert_eq!(other.get(&format!("conflicts/{id}")).await.status, 404);
    assert_eq!(send(&mut other, &form, "store").await.status, 404);
}

/// Each edit is listed, and the form covers all of them.
#[tokio::test]
async fn joined_edits_are_listed() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]).await;
    for (version, n) in [(2, "4.0"), (3, "5.0")] {
        let fields = format!(r#"{{"n":{n}}}"#);
        let item = edit("update", "m-1", version, &fields)
            .replace(&format!("\"base_version\":{version}"), "\"base_version\":1");
        push(&stack, "ana", &[item]).await;
    }

    let mut browser = admin(&stack);
    let page = browser
        .get(&format!("conflicts/{id}?list=user%3Dana"))
        .await;
    assert!(
        page.text.contains("3 edits by <bdi>ana</bdi>"),
        "{}",
        page.text
    );
    assert!(page.text.contains("{&quot;n&quot;:4.0}"), "{}", page.text);
    let mut form = super::Form::of(&page.text);
    form.pick("/n", "device");
    store(&mut browser, &form).await;
    assert_eq!(stored(&stack, "m-1"), (3, r#"{"n":5.0}"#.to_owned()));
    assert_eq!(
        outcome(&stack, &id).await["resolution"],
        json!("accept_client")
    );
}
