//! The bounds of §2, each at the limit and beyond it: 350 KB, 500 fields and 64 levels, as sent and
//! as stored after a merge.

use serde_json::{Value, json, value::RawValue};
use tidemark_core::model::limits::{
    NESTING_MAX, PAYLOAD_BYTES_MAX, PAYLOAD_FIELDS_MAX, VERSION_MAX,
};
use tidemark_tests::{Device, Stack, noise};

use super::{assert_rejected, list, push_among_good, push_text, texts};

/// Returns an item for a meter with this payload.
fn item(action: &str, payload: &str) -> String {
    format!(
        r#"{{"client_temp_id":"t","resource_type":"meter","action":"{action}","client_version":1,"payload":{payload}}}"#
    )
}

/// Returns a payload of exactly `bytes` bytes that hardly compresses.
fn payload_of(id: &str, bytes: usize, seed: u64) -> String {
    let start = format!(r#"{{"id":"{id}","pad":""#);
    format!("{start}{}\"}}", noise(bytes - start.len() - 2, seed))
}

fn fields_of(id: &str, count: usize) -> String {
    let fields: Vec<String> = (1..count).map(|n| format!(r#""f{n}":{n}"#)).collect();
    format!(r#"{{"id":"{id}",{}}}"#, fields.join(","))
}

/// Returns a payload with `depth` levels of nesting, including the payload itself.
fn nested(id: &str, depth: usize) -> String {
    format!(
        r#"{{"id":"{id}","a":{}{}}}"#,
        "[".repeat(depth - 1),
        "]".repeat(depth - 1)
    )
}

async fn stack() -> (Stack, String) {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    (stack, token)
}

#[tokio::test]
async fn payload_limit_is_350_kb() {
    let (stack, token) = stack().await;
    let fits = item("create", &payload_of("fits", PAYLOAD_BYTES_MAX, 1));
    assert_eq!(push_among_good(&stack, &token, &fits).await["status"], "ok");
    for bytes in [PAYLOAD_BYTES_MAX + 1, 400 * 1024, 1 << 20] {
        for action in ["create", "update"] {
            let too_large = item(action, &payload_of("fits-not", bytes, 1));
            assert_rejected(
                &push_among_good(&stack, &token, &too_large).await,
                "payload_too_large",
                &too_large,
            );
        }
    }
}

#[tokio::test]
async fn largest_payloads_pass_all_storage_paths() {
    let (stack, token) = stack().await;
    let mut reader = stack.device("ben", "tablet");
    reader.pull().await;
    let payloads: Vec<String> = (0..8)
        .map(|n| payload_of(&format!("m-{n}"), PAYLOAD_BYTES_MAX, n))
        .collect();
    let creates: Vec<String> = payloads
        .iter()
        .map(|payload| item("create", payload).replace(r#""t""#, "null"))
        .collect();
    let creates: Vec<&str> = creates.iter().map(String::as_str).collect();
    assert!(
        statuses(&stack, &token, &creates)
            .await
            .iter()
            .all(|status| status == "ok")
    );
    stack.settle().await;
    assert_holds(&mut reader, &payloads).await;
    assert_holds(&mut stack.device("cid", "new"), &payloads).await;

    let stale: Vec<String> = (0..8)
        .map(|n| {
            format!(
                r#"{{"resource_type":"meter","action":"update","client_version":0,"base_version":0,"payload":{}}}"#,
                payload_of(&format!("m-{n}"), PAYLOAD_BYTES_MAX, n + 100)
            )
        })
        .collect();
    let stale: Vec<&str> = stale.iter().map(String::as_str).collect();
    let ben = stack.token("acme", "ben", &[], &[]);
    assert!(
        statuses(&stack, &ben, &stale)
            .await
            .iter()
            .all(|status| status == "conflict")
    );
}

async fn statuses(stack: &Stack, token: &str, items: &[&str]) -> Vec<Value> {
    let response = push_text(stack, token, items).await.ok();
    response["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["status"].clone())
        .collect()
}

async fn assert_holds(device: &mut Device<'_>, payloads: &[String]) {
    device.pull().await;
    let held = device.live();
    for (n, payload) in payloads.iter().enumerate() {
        let expected = payload.replacen(&format!(r#""id":"m-{n}","#), "", 1);
        assert!(
            held[&format!("m-{n}")].payload.as_deref() == Some(&expected),
            "the payload of m-{n} differs"
        );
    }
}

#[tokio::test]
async fn payload_limit_is_500_fields() {
    let (stack, token) = stack().await;
    let fits = item("create", &fields_of("fits", PAYLOAD_FIELDS_MAX));
    assert_eq!(push_among_good(&stack, &token, &fits).await["status"], "ok");
    for action in ["create", "update"] {
        let too_many = item(action, &fields_of("fits-not", PAYLOAD_FIELDS_MAX + 1));
        assert_rejected(
            &push_among_good(&stack, &token, &too_many).await,
            "too_many_fields",
            &too_many,
        );
    }
}

#[tokio::test]
async fn payload_limit_is_64_levels() {
    let (stack, token) = stack().await;
    let fits = item("create", &nested("fits", NESTING_MAX));
    assert_eq!(push_among_good(&stack, &token, &fits).await["status"], "ok");
    for depth in [NESTING_MAX + 1, 100, 128, 129, 10_000] {
        for action in ["create", "update", "delete"] {
            let too_deep = item(action, &nested("fits-not", depth));
            assert_rejected(
                &push_among_good(&stack, &token, &too_deep).await,
                "payload_too_deep",
                &too_deep,
            );
        }
    }
}

#[tokio::test]
async fn nesting_outside_payloads_is_harmless() {
    let (stack, token) = stack().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let strange =
        item("create", r#"{"id":"m-1"}"#).replacen('{', &format!(r#"{{"unknown":{deep},"#), 1);

    assert_eq!(
        push_among_good(&stack, &token, &strange).await["status"],
        "ok"
    );
    assert_rejected(
        &push_among_good(&stack, &token, &deep).await,
        "invalid_item",
        &deep,
    );

    let envelope = format!(
        r#"{{"device_id":"phone","unknown":{deep},"items":[{}]}}"#,
        item("create", r#"{"id":"m-2"}"#)
    );
    assert_eq!(
        stack
            .post_bytes("sync/push", Some(&token), envelope.as_bytes())
            .await
            .status,
        200
    );

    for body in [format!(r#"{{"limit":{deep}}}"#), deep] {
        assert_eq!(
            stack
                .post_bytes("sync/pull", Some(&token), body.as_bytes())
                .await
                .status,
            400
        );
    }
}

#[tokio::test]
async fn largest_version_is_accepted() {
    let (stack, token) = stack().await;
    let create = format!(
        r#"{{"client_temp_id":"t","resource_type":"meter","action":"create","client_version":{VERSION_MAX},"payload":{{"a":1}}}}"#
    );
    assert_eq!(
        push_among_good(&stack, &token, &create).await["status"],
        "ok"
    );

    let update = create
        .replace("create", "update")
        .replace(r#"{"a":1}"#, r#"{"a":2}"#);
    assert_eq!(
        push_among_good(&stack, &token, &update).await["server_version"],
        2
    );
}

#[tokio::test]
async fn merged_payload_limit_is_350_kb() {
    let (stack, token) = stack().await;
    assert_eq!(
        push_among_good(
            &stack,
            &token,
            &item("create", &payload_of("m-1", 300 * 1024, 1))
        )
        .await["status"],
        "ok"
    );

    let room = PAYLOAD_BYTES_MAX - stored(&stack, "m-1").len() - r#","b":"""#.len();
    let grow = |bytes: usize| {
        format!(
            r#"{{"resource_type":"meter","action":"update","client_version":2,"payload":{{"id":"m-1","b":"{}"}}}}"#,
            "x".repeat(bytes)
        )
    };

    let too_large = grow(room + 1);
    assert_rejected(
        &push_among_good(&stack, &token, &too_large).await,
        "payload_too_large",
        &too_large,
    );

    assert_eq!(
        push_among_good(&stack, &token, &grow(room)).await["server_version"],
        2
    );
    assert_eq!(stored(&stack, "m-1").len(), PAYLOAD_BYTES_MAX);
}

#[tokio::test]
async fn merged_payload_limit_is_500_fields() {
    let (stack, token) = stack().await;
    assert_eq!(
        push_among_good(&stack, &token, &item("create", &fields_of("m-1", 400))).await["status"],
        "ok"
    );

    let grow = |count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!(r#""g{n}":{n}"#)).collect();
        format!(
            r#"{{"resource_type":"meter","action":"update","client_version":2,"payload":{{"id":"m-1",{}}}}}"#,
            fields.join(",")
        )
    };

    let too_many = grow(102);
    assert_rejected(
        &push_among_good(&stack, &token, &too_many).await,
        "too_many_fields",
        &too_many,
    );

    assert_eq!(
        push_among_good(&stack, &token, &grow(101)).await["server_version"],
        2
    );
}

#[tokio::test]
async fn edit_after_oversized_merge_is_not_applied() {
    let (stack, token) = stack().await;
    let large = |version: u64, field: &str| {
        let content = "x".repeat(200 * 1024);
        format!(
            r#"{{"resource_type":"meter","action":"update","client_version":{version},"payload":{{"id":"m-1","{field}":"{content}"}}}}"#
        )
    };

    let create = item("create", r#"{"id":"m-1","z":0}"#);
    let results = push_text(
        &stack,
        &token,
        &[&create, &large(2, "a"), &large(3, "b"), &large(4, "c")],
    )
    .await
    .ok()["results"]
        .clone();

    let outcomes: Vec<_> = (0..4)
        .map(|n| (results[n]["status"].clone(), results[n]["code"].clone()))
        .collect();
    assert_eq!(
        json!(outcomes),
        json!([
            ["ok", null],
            ["ok", null],
            ["error", "payload_too_large"],
            ["error", "payload_too_large"]
        ])
    );
}

fn stored(stack: &Stack, id: &str) -> String {
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == format!("meter#{id}"))
        .unwrap();
    row["payload"]["S"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn extreme_numbers_are_stored_unchanged() {
    let (stack, token) = stack().await;
    let digits = "9".repeat(10_000);
    let payload = format!(r#"{{"a":1e400,"b":-1E-4000,"c":{digits},"d":0.{digits}}}"#);
    assert_eq!(
        push_text(&stack, &token, &[&item("create", &payload)])
            .await
            .status,
        200
    );
    let response = stack.post("sync/pull", &token, &json!({})).await;
    let changes = list(&texts(&response.text)["changes"]);
    let held: &RawValue = &texts(changes[0].get())["payload"];
    assert!(held.get() == payload, "the payload differs");
}
