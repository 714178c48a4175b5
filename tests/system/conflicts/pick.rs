//! `POST /conflicts/{id}/resolve` with `field_pick`: the payload that the picks compose, and which
//! requests are rejected or repeat an earlier one.

use serde_json::{Value, json};
use tidemark_tests::{ApiResponse, Item, Stack, scenario};

use super::{admin, conflicted, conflicted_by, meter, rejected, resolve, shown, stored};

/// Returns a resolution with these picks, made on this version.
fn picking(fields: Value, version: u64) -> Value {
    json!({"resolution": "field_pick", "fields": fields, "expected_server_version": version})
}

/// Asserts that a resolution is rejected with this status and code, and that it writes nothing.
/// Returns the problem.
async fn assert_rejected(
    stack: &Stack,
    id: &str,
    request: &Value,
    status: u16,
    code: &str,
) -> Value {
    let before = stack.rows("resources");
    let response = resolve(stack, id, request).await;
    let problem = response.json();
    assert_eq!(
        (response.status, &problem["code"]),
        (status, &json!(code)),
        "{request}: {problem}"
    );
    assert_eq!(stack.rows("resources"), before);
    assert_eq!(shown(stack, id).await["status"], "open");
    assert!(stack.rows("audit_log").is_empty());
    problem
}

#[tokio::test]
async fn every_kind_of_pick_is_stored() {
    let stack = Stack::new();
    let created = json!({"code": "A", "note": "old", "old": true, "reading": 44});
    let updated = json!({"place": "cellar", "reading": 50});
    let edited = json!({"note": "new", "reading": 42, "tag": "x"});
    let id = scenario::open_conflict(&stack, "m-1", [created, updated, edited]).await;

    let body = r#"{"resolution":"field_pick","expected_server_version":2,"fields":{"tag":"client",
        "reading":"client","note":"server","old":{"remove":true},
        "list":{"value":[1.0, 9007199254740993]}}}"#;
    let path = format!("conflicts/{id}/resolve");
    let response = stack
        .post_bytes(&path, Some(&admin(&stack)), body.as_bytes())
        .await;

    let payload = [
        r#"{"code":"A","note":"old","reading":42,"place":"cellar","tag":"x","#,
        r#""list":[1.0, 9007199254740993]}"#,
    ]
    .concat();
    assert!(response.text.contains(&payload), "{}", response.text);
    let resolved = response.ok();
    assert_eq!(
        [&resolved["status"], &resolved["resolution"]],
        [&json!("resolved"), &json!("manual_merge")]
    );
    assert_eq!(stored(&stack, "m-1"), (3, false, payload));

    let outcome = &shown(&stack, &id).await["outcome"];
    assert_eq!(outcome["resolution"], "manual_merge");
    let entry = &super::audited(&stack).await[0];
    assert_eq!(
        [&entry["resolution"], &entry["after"]["payload"]["tag"]],
        [&json!("manual_merge"), &json!("x")]
    );
}

#[tokio::test]
async fn unchanged_and_unknown_fields_keep_content() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let fields = json!({"code": "client", "unknown": "client", "other": "server",
        "gone": {"remove": true}, "id": {"value": "m-2"}});
    resolve(&stack, &id, &picking(fields, 2)).await.ok();
    let payload = r#"{"code":"m-1","reading":50}"#;
    assert_eq!(stored(&stack, "m-1"), (3, false, payload.into()));
}

#[tokio::test]
async fn client_pick_merges_and_removes() {
    let stack = Stack::new();
    let created = json!({"code": "A", "d": {"x": 1, "y": 2}, "note": "n"});
    let [updated, edited] = [json!({"d": {"x": 5}}), json!({"d": {"y": 3}, "note": null})];
    let id = scenario::open_conflict(&stack, "m-1", [created, updated, edited]).await;
    let joining = meter("update", "m-1", 1, json!({"d": {"z": 7}}));
    assert_eq!(rejected(&stack, joining).await, id);

    let fields = json!({"d": "client", "note": "client"});
    resolve(&stack, &id, &picking(fields, 2)).await.ok();
    let payload = r#"{"code":"A","d":{"x":5,"y":3,"z":7}}"#;
    assert_eq!(stored(&stack, "m-1"), (3, false, payload.into()));
}

#[tokio::test]
async fn conflict_with_delete_is_unprocessable() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let create = meter("create", "m-1", 0, json!({"code": "A"}));
    office.push_one(create).await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 1})))
        .await;
    let id = rejected(&stack, meter("delete", "m-1", 1, json!({}))).await;

    let request = picking(json!({"reading": "server"}), 2);
    let problem = assert_rejected(&stack, &id, &request, 422, "unprocessable").await;
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("deletes the resource"), "{detail}");
}

#[tokio::test]
async fn create_conflicts_can_be_picked() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let existing = json!({"code": "A", "reading": 50});
    office.push_one(meter("create", "m-1", 0, existing)).await;

    // The id is taken: the fields of both creates can be combined.
    let create = meter("create", "m-1", 0, json!({"code": "B", "note": "n"}));
    let id = rejected(&stack, create).await;
    let request = picking(json!({"note": "client"}), 1);
    resolve(&stack, &id, &request).await.ok();
    let payload = r#"{"code":"A","reading":50,"note":"n"}"#;
    assert_eq!(stored(&stack, "m-1"), (2, false, payload.into()));

    // A unique value is taken: there is no resource, and only picked fields are stored.
    let create = meter(
        "create",
        "m-2",
        0,
        json!({"code": "A", "note": "n", "x": 1}),
    );
    let id = rejected(&stack, create).await;
    let fields = json!({"code": {"value": "C"}, "note": "client"});
    let created = resolve(&stack, &id, &picking(fields, 0)).await.ok();
    assert_eq!(created["server_version"], 1);
    let payload = r#"{"code":"C","note":"n"}"#;
    assert_eq!(stored(&stack, "m-2"), (1, false, payload.into()));
}

#[tokio::test]
async fn stale_or_missing_version_is_rejected() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    for stale in [0, 1, 3] {
        let request = picking(json!({"reading": "client"}), stale);
        let problem = assert_rejected(&stack, &id, &request, 409, "version_changed").await;
        assert_eq!(problem["server_version"], 2);
    }

    let request = json!({"resolution": "field_pick", "fields": {"reading": "client"}});
    let problem = assert_rejected(&stack, &id, &request, 400, "invalid_request").await;
    assert_eq!(problem["path"], "expected_server_version");
}

/// Returns requests that are malformed, each with the path that the problem names.
fn malformed() -> Vec<(Value, &'static str)> {
    let many: serde_json::Map<String, Value> = (0..501)
        .map(|number| (format!("f{number}"), json!("client")))
        .collect();
    let mut malformed = vec![
        (picking(Value::Null, 2), "fields"),
        (picking(json!([]), 2), "fields"),
        (picking(json!("client"), 2), "fields"),
        (picking(Value::Object(many), 2), "fields"),
    ];

    for pick in [
        json!("both"),
        json!(1),
        json!({}),
        json!({"remove": false}),
        json!({"value": 1, "remove": true}),
    ] {
        malformed.push((picking(json!({"reading": pick}), 2), "fields.reading"));
    }

    let mut with_payload = picking(json!({}), 2);
    with_payload["payload"] = json!({});
    malformed.push((with_payload, "payload"));
    for resolution in ["accept_client", "accept_server"] {
        let request = json!({"resolution": resolution, "fields": {}});
        malformed.push((request, "fields"));
    }
    malformed
}

#[tokio::test]
async fn malformed_picks_name_the_field() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    for (request, path) in malformed() {
        let problem = assert_rejected(&stack, &id, &request, 400, "invalid_request").await;
        assert_eq!(problem["path"], path, "{request}");
    }
}

#[tokio::test]
async fn picked_values_have_bounds_of_payloads() {
    let stack = Stack::new();
    let id = conflicted_by(&stack, "m-1", json!({"text": "x".repeat(200 * 1024)})).await;
    let deep = (0..64).fold(json!(1), |inner, _| json!([inner]));
    let large = "y".repeat(200 * 1024);

    for (fields, path, reason) in [
        (json!({"a": {"value": deep}}), "fields", "payload_too_deep"),
        (
            json!({"a": {"value": large}, "b": {"value": large}}),
            "fields",
            "payload_too_large",
        ),
        // The value and the text of the client exceed the bound together.
        (
            json!({"a": {"value": large}, "text": "client"}),
            "fields",
            "payload_too_large",
        ),
    ] {
        let request = picking(fields, 2);
        let problem = assert_rejected(&stack, &id, &request, 422, "unprocessable").await;
        assert_eq!(
            (&problem["path"], &problem["reason"]),
            (&json!(path), &json!(reason))
        );
    }
}

#[tokio::test]
async fn required_field_cannot_be_removed() {
    let stack = Stack::new();
    let submission = |action: &str, version: u64, payload: Value| {
        let item = Item::new("submission", action, version).base(version);
        item.payload(payload)
    };
    let (office, ana) = (stack.device("ana", "pc"), stack.device("ana", "phone"));
    let created = json!({"id": "s-1", "form_id": "f", "data": {}});
    office.push_one(submission("create", 0, created)).await;
    let updated = json!({"id": "s-1", "data": {"a": 1}});
    office.push_one(submission("update", 1, updated)).await;
    let edited = submission("update", 1, json!({"id": "s-1", "form_id": null}));
    let id = ana.push_one(edited).await["conflict_id"].clone();
    let id = id.as_str().expect("a conflict");

    for fields in [
        json!({"form_id": "client"}),
        json!({"form_id": {"remove": true}}),
    ] {
        let request = picking(fields, 2);
        let problem = assert_rejected(&stack, id, &request, 422, "unprocessable").await;
        assert_eq!(
            (&problem["path"], &problem["reason"]),
            (&json!("fields.form_id"), &json!("required_field_missing"))
        );
    }
}

#[tokio::test]
async fn picked_unique_value_is_claimed() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let id = conflicted(&stack, "m-1").await;
    office
        .push_one(meter("create", "m-2", 0, json!({"code": "B"})))
        .await;

    let code = |value: &str| picking(json!({"code": {"value": value}}), 2);
    let problem = assert_rejected(&stack, &id, &code("B"), 409, "unique_violation").await;
    assert_eq!(
        [&problem["field"], &problem["holder_id"]],
        [&json!("code"), &json!("m-2")]
    );

    resolve(&stack, &id, &code("C")).await.ok();
    for (number, code, status) in [(3, "C", "conflict"), (4, "m-1", "ok")] {
        let create = meter("create", &format!("m-{number}"), 0, json!({"code": code}));
        assert_eq!(office.push_one(create).await["status"], status, "{code}");
    }
}

/// Asserts that a resolution was rejected because another one was made before.
fn assert_already_resolved(response: &ApiResponse) {
    assert_eq!(
        (response.status, &response.json()["code"]),
        (409, &json!("already_resolved")),
        "{}",
        response.text
    );
}

#[tokio::test]
async fn repeated_picks_return_first_outcome() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let fields = json!({"note": {"value": {"a": 1, "b": 2}}, "reading": "client"});
    let first = picking(fields, 2);
    let response = resolve(&stack, &id, &first).await.ok();
    stack.advance(chrono::Duration::hours(1));

    let reordered = r#"{"resolution":"field_pick","note":"again","expected_server_version":2,
        "fields":{"reading":"client","note":{"value":{ "b":2, "a":1 }}}}"#;
    let reordered = serde_json::from_str(reordered).expect("JSON");
    let composed = json!({"code": "m-1", "note": {"a": 1, "b": 2}, "reading": 42});
    let merge = json!({"resolution": "manual_merge", "payload": composed});
    for same in [&first, &reordered, &merge] {
        assert_eq!(resolve(&stack, &id, same).await.ok(), response, "{same}");
    }

    for other in [
        picking(first["fields"].clone(), 3),
        picking(json!({"reading": "client"}), 2),
        picking(json!({"reading": {"value": 42}}), 2),
        json!({"resolution": "accept_client"}),
    ] {
        assert_already_resolved(&resolve(&stack, &id, &other).await);
    }
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1)
    );
}

#[tokio::test]
async fn direct_invocation_takes_picks() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let mut event = picking(json!({"reading": "client"}), 2);
    (event["conflict_id"], event["tenant"], event["resolved_by"]) =
        (json!(id), json!("acme"), json!("ops"));

    let response = stack.invoke("resolve", &event).await;
    assert_eq!(
        response["server_payload"],
        json!({"code": "m-1", "reading": 42})
    );
    let repeated = resolve(&stack, &id, &picking(json!({"reading": "client"}), 2)).await;
    assert_eq!(repeated.ok(), response);
}
