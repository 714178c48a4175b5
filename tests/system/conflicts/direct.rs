//! Direct invocation: the event is the request itself, and IAM is the authority. Both doors run the
//! same code.

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
async fn an_operator_decides_by_invoking_the_function() {
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
async fn both_doors_answer_the_same_decision_alike() {
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
async fn a_payload_of_a_direct_invocation_is_kept_digit_for_digit() {
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

#[tokio::test]
async fn a_bad_direct_request_is_answered_with_a_problem_that_names_its_place() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let good = event(&id, json!({"resolution": "accept_client"}));
    let with = |field: &str, value: Value| {
        let mut event = good.clone();
        event[field] = value;
        event
    };
    for (event, path) in [
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
    ] {
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
async fn a_direct_invocation_names_its_tenant_and_reaches_no_other() {
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

/// What comes through the gateway can never pass for a direct request, whatever its body says.
#[tokio::test]
async fn a_request_through_the_gateway_is_never_taken_for_a_direct_one() {
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
    // An event that has the fields of both is the gateway's: it carries no token.
    let mut both = direct;
    both["requestContext"] = json!({"resourcePath": "/api/v1/mobile/conflicts/{id}/resolve", "httpMethod": "POST", "identity": {}});
    both["httpMethod"] = "POST".into();
    both["path"] = "/".into();
    both["headers"] = json!({});
    let response = stack.invoke("resolve", &both).await;
    assert_eq!(response["statusCode"], 401, "{response}");
    assert_eq!(shown(&stack, &id).await["status"], "open");
}
