//! Direct invocation of `resolve`: the event is the request itself, and IAM authorizes it. Both
//! entry points run the same code.

use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::{audited, conflicted, resolve, shown, stored};

fn event(id: &str, decision: Value) -> Value {
    let mut event = decision;
    (event["conflict_id"], event["tenant"], event["resolved_by"]) =
        (id.into(), "acme".into(), "ops@example.com".into());
    event
}

#[tokio::test]
async fn operator_resolves_by_direct_invocation() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let response = stack
        .invoke(
            "resolve",
            &event(
                &id,
                json!({"resolution": "accept_client", "note": "by phone"}),
            ),
        )
        .await;

    assert_eq!(
        response,
        json!({
            "id": id, "status": "resolved", "resolution": "accept_client", "resolved_by": "ops@example.com",
            "resolved_at": response["resolved_at"], "note": "by phone", "resource_type": "meter", "resource_id": "m-1",
            "channel": "tenant", "server_version": 3, "server_payload": {"code": "m-1", "reading": 42},
        })
    );

    let entry = &audited(&stack).await[0];
    assert_eq!(
        [&entry["by"], &entry["via"]],
        [&json!("ops@example.com"), &json!("invocation")]
    );

    stack.settle().await;
    assert_eq!(
        stack.device("ana", "phone").pull().await[0]["conflict"]["id"],
        id.as_str()
    );
}

#[tokio::test]
async fn both_entry_points_return_same_result() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let by_api = resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        stack
            .invoke(
                "resolve",
                &event(&id, json!({"resolution": "accept_server"}))
            )
            .await,
        by_api
    );

    let other = stack
        .invoke(
            "resolve",
            &event(&id, json!({"resolution": "accept_client"})),
        )
        .await;
    assert_eq!(
        [&other["status"], &other["code"], &other["resolved_by"]],
        [&json!(409), &json!("already_resolved"), &json!("root")]
    );
    assert_eq!(stack.rows("audit_log").len(), 1);
}

#[tokio::test]
async fn direct_payload_keeps_its_exact_digits() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let payload = r#"{"z":1.0,"big":9007199254740993,"a":1e300,"u":"\u00fc"}"#;
    let event = format!(
        r#"{{"conflict_id":"{id}","tenant":"acme","resolved_by":"ops","resolution":"manual_merge","payload":{payload}}}"#
    );
    let response = stack.invoke_text("resolve", &event).await;
    assert!(response.contains(payload), "{response}");
    assert_eq!(stored(&stack, "m-1").2, payload);
}

/// Returns invalid variants of an event, each with the path that the problem names.
fn invalid_variants(good: &Value) -> Vec<(Value, &'static str)> {
    let with = |field: &str, value: Value| {
        let mut event = good.clone();
        event[field] = value;
        event
    };

    vec![
        (with("tenant", json!("")), "tenant"),
        (with("tenant", json!("x".repeat(257))), "tenant"),
        (with("resolved_by", json!("")), "resolved_by"),
        (with("resolved_by", json!(["ops"])), "resolved_by"),
        (with("conflict_id", json!(7)), "conflict_id"),
        (with("resolution", json!("accept")), "resolution"),
        (with("payload", json!({})), "payload"),
        (with("note", json!("x".repeat(2001))), "note"),
        (
            with("expected_server_version", json!(1.5)),
            "expected_server_version",
        ),
        (json!({"resolution": "accept_client"}), "$"),
        (json!("accept_client"), "$"),
        (json!([]), "$"),
        (json!(null), "$"),
    ]
}

#[tokio::test]
async fn invalid_direct_request_names_the_field() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let good = event(&id, json!({"resolution": "accept_client"}));

    for (event, path) in invalid_variants(&good) {
        let problem = stack.invoke("resolve", &event).await;
        assert_eq!(
            [&problem["status"], &problem["code"], &problem["path"]],
            [&json!(400), &json!("invalid_request"), &json!(path)],
            "{event}: {problem}"
        );
    }

    for missing in ["conflict_id", "tenant", "resolved_by", "resolution"] {
        let mut event = good.clone();
        event.as_object_mut().expect("an object").remove(missing);
        let problem = stack.invoke("resolve", &event).await;
        assert!(
            problem["detail"].as_str().expect("text").contains(missing),
            "{problem}"
        );
    }

    assert_eq!(
        (stored(&stack, "m-1").0, &shown(&stack, &id).await["status"]),
        (2, &json!("open"))
    );
}

#[tokio::test]
async fn direct_invocation_reaches_its_tenant_only() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;

    let mut elsewhere = event(&id, json!({"resolution": "accept_client"}));
    elsewhere["tenant"] = "other".into();
    let problem = stack.invoke("resolve", &elsewhere).await;
    assert_eq!(
        [&problem["status"], &problem["code"]],
        [&json!(404), &json!("not_found")]
    );

    for id in ["conf-abc-1", "", &format!("part#{id}#server-2")] {
        let problem = stack
            .invoke(
                "resolve",
                &event(id, json!({"resolution": "accept_client"})),
            )
            .await;
        assert_eq!(problem["code"], "not_found", "{id}");
    }
    assert_eq!(shown(&stack, &id).await["status"], "open");
}

/// A request through the gateway is never treated as a direct request, regardless of its body.
#[tokio::test]
async fn gateway_request_is_never_direct() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let direct = event(&id, json!({"resolution": "accept_client"}));

    let rejected = stack
        .post(
            &format!("conflicts/{id}/resolve"),
            &stack.token("acme", "ana", &[], &[]),
            &direct,
        )
        .await;
    assert_eq!(rejected.status, 403);

    // An event with the fields of both kinds is a gateway request. It is rejected because it has no
    // token.
    let mut both = direct;
    both["requestContext"] = json!({"resourcePath": "/api/v1/mobile/conflicts/{id}/resolve", "httpMethod": "POST", "identity": {}});
    both["httpMethod"] = "POST".into();
    both["path"] = "/".into();
    both["headers"] = json!({});
    let response = stack.invoke("resolve", &both).await;
    assert_eq!(response["statusCode"], 401, "{response}");
    assert_eq!(shown(&stack, &id).await["status"], "open");
}
