//! `GET /conflicts/{id}`: a complete conflict.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_tests::{Script, Stack, noise};

use super::{admin, conflicted, meter, rejected, resolve, shown};

#[tokio::test]
async fn conflict_detail_has_every_documented_field() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-123").await;
    insta::assert_json_snapshot!(shown(&stack, &id).await);
}

#[tokio::test]
async fn joined_edits_are_listed_in_order() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let ana = stack.device("ana", "phone");
    ana.push(json!([
        meter("update", "m-1", 1, json!({"note": 1.50})),
        meter("delete", "m-1", 1, json!({}))
    ]))
    .await;

    let conflict = shown(&stack, &id).await;
    let joined: Vec<Value> = conflict["joined"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| json!([it["action"], it["client_payload"]]))
        .collect();

    assert_eq!(
        joined,
        [json!(["update", {"note": 1.50}]), json!(["delete", {}])]
    );
    assert_eq!(conflict["edit_count"], 3);
    assert!(
        stack
            .get(&format!("conflicts/{id}"), &admin(&stack))
            .await
            .text
            .contains(r#""client_payload":{"note":1.5}"#)
    );
}

#[tokio::test]
async fn separately_stored_payloads_are_shown_whole() {
    let stack = Stack::new();
    let (server, first, second) = (
        noise(340 * 1024, 1),
        noise(339 * 1024, 2),
        noise(338 * 1024, 3),
    );

    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"text": server})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let id = rejected(&stack, meter("update", "m-1", 1, json!({"text": first}))).await;
    rejected(&stack, meter("update", "m-1", 1, json!({"text": second}))).await;

    let conflict = shown(&stack, &id).await;
    assert_eq!(
        conflict["server_payload"],
        json!({"text": server, "reading": 50})
    );
    assert_eq!(conflict["client_payload"], json!({"text": first}));
    assert_eq!(
        conflict["joined"][0]["client_payload"],
        json!({"text": second})
    );
}

#[tokio::test]
async fn payloads_of_other_users_are_not_read() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter(
            "create",
            "m-1",
            0,
            json!({"text": noise(340 * 1024, 1)}),
        ))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let id = rejected(&stack, meter("update", "m-1", 1, json!({"reading": 42}))).await;

    for (user, status, calls) in [("ana", 200, 3), ("ben", 404, 1)] {
        let script = Arc::new(Script::new(|_, _, _, _| CallFate::Continue));
        let response = stack
            .beside(script.clone())
            .get(
                &format!("conflicts/{id}"),
                &stack.token("acme", user, &[], &[]),
            )
            .await;
        assert_eq!((response.status, script.calls()), (status, calls), "{user}");
    }
}

#[tokio::test]
async fn oversized_conflict_marks_omitted_payloads() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 1})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 2})))
        .await;

    let mut id = String::new();
    for number in 0..18 {
        id = rejected(
            &stack,
            meter(
                "update",
                "m-1",
                1,
                json!({"n": number, "text": noise(300 * 1024, 1)}),
            ),
        )
        .await;
    }

    let response = stack.get(&format!("conflicts/{id}"), &admin(&stack)).await;
    assert!(serde_json::to_string(&response.text).expect("text").len() < 5_000_000);
    let conflict = response.ok();
    let joined = conflict["joined"].as_array().expect("a list");
    assert_eq!((joined.len(), &conflict["edit_count"]), (17, &json!(18)));
    assert!(
        joined
            .iter()
            .all(|it| it["client_payload"].is_object() != (it["client_payload_omitted"] == true))
    );
    assert!(conflict["client_payload"].is_object() && joined[16]["client_payload_omitted"] == true);
}

#[tokio::test]
async fn conflict_with_delete_shows_last_payload() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 50})))
        .await;
    office.push_one(meter("delete", "m-1", 1, json!({}))).await;
    let id = rejected(&stack, meter("update", "m-1", 1, json!({"reading": 42}))).await;
    let conflict = shown(&stack, &id).await;
    assert_eq!(
        (&conflict["server_deleted"], &conflict["server_payload"]),
        (&json!(true), &json!({"reading": 50}))
    );
}

#[tokio::test]
async fn resolved_conflict_shows_its_outcome() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    stack.advance(chrono::Duration::seconds(5));
    resolve(
        &stack,
        &id,
        &json!({"resolution": "manual_merge", "payload": {"code": "m-1"}, "note": "both"}),
    )
    .await
    .ok();

    let conflict = shown(&stack, &id).await;
    assert_eq!(conflict["status"], "resolved");
    assert_eq!(
        conflict["outcome"],
        json!({"resolution": "manual_merge", "resolved_by": "root", "resolved_at": "2026-09-21T14:13:25.000Z",
            "note": "both", "server_version": 3, "delivered": false})
    );
    assert_eq!(
        (&conflict["server_version"], &conflict["client_payload"]),
        (&json!(2), &json!({"reading": 42})),
        "the conflict itself is unchanged"
    );
}

#[tokio::test]
async fn outcome_is_delivered_once_acknowledged() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    assert_eq!(
        shown(&stack, &id).await.get("outcome"),
        None,
        "an open conflict has none"
    );

    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    let mut ana = stack.device("ana", "phone");
    let delivered = async || shown(&stack, &id).await["outcome"]["delivered"].clone();
    ana.pull().await;
    ana.ack().await.ok();
    assert_eq!(
        delivered().await,
        false,
        "the stream has not delivered it yet"
    );

    stack.settle().await;
    ana.pull().await;
    assert_eq!(delivered().await, false, "pulled, but not acknowledged");
    ana.ack().await.ok();
    assert_eq!(delivered().await, true);
}

#[tokio::test]
async fn only_admins_and_author_see_conflict() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let get_with = async |token: String| stack.get(&format!("conflicts/{id}"), &token).await;
    assert_eq!(
        get_with(stack.token("acme", "ana", &[], &[])).await.ok(),
        shown(&stack, &id).await
    );
    let other = get_with(stack.token("acme", "office", &[], &[])).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (404, &json!("not_found"))
    );
}

#[tokio::test]
async fn unknown_and_foreign_ids_are_indistinguishable() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let mut responses = Vec::new();
    for (tenant, id) in [
        ("other", id.as_str()),
        ("acme", &format!("{}0", &id[..id.len() - 1])),
        ("acme", "conf-abc-1"),
        ("acme", &format!("part#{id}#server-2")),
        ("acme", &"x".repeat(5000)),
    ] {
        for user in ["ana", "root"] {
            let token = stack.token(
                tenant,
                user,
                if user == "root" { &["admin"] } else { &[] },
                &[],
            );
            let response = stack.get(&format!("conflicts/{id}"), &token).await;
            let mut body = response.json();
            body["request_id"].take();
            responses.push((response.status, body));
        }
    }

    assert_eq!(
        (responses[0].0, &responses[0].1["code"]),
        (404, &json!("not_found"))
    );
    assert!(
        responses.iter().all(|response| *response == responses[0]),
        "{responses:?}"
    );
}
