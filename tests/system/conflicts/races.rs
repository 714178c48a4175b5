//! Concurrent resolutions: a resolution takes effect once and on the current state of the resource
//! and the conflict, regardless of concurrent writers and lost responses.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_tests::{
    ApiResponse, Script, Stack,
    hooks::{Gate, Moment},
};

use super::{conflicted, meter, resolve, shown, stored};

/// Runs two resolutions concurrently. Their functions yield to each other at every call.
async fn at_once(stack: &Stack, id: &str, decisions: [Value; 2]) -> (ApiResponse, ApiResponse) {
    let rivals = Stack::over(
        stack.engine.clone(),
        Arc::new(Script::new(|_, _, _, _| CallFate::Continue)),
    );
    tokio::join!(
        resolve(&rivals, id, &decisions[0]),
        resolve(&rivals, id, &decisions[1])
    )
}

#[tokio::test(start_paused = true)]
async fn concurrent_resolutions_second_gets_already_resolved() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decisions = [
        json!({"resolution": "accept_client"}),
        json!({"resolution": "accept_server"}),
    ];

    let (one, other) = at_once(&stack, &id, decisions).await;
    let (won, lost) = if one.status == 200 {
        (one, other)
    } else {
        (other, one)
    };

    assert_eq!(
        (won.status, lost.status, &lost.json()["code"]),
        (200, 409, &json!("already_resolved"))
    );
    assert_eq!(lost.json()["resolution"], won.json()["resolution"]);
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn equal_concurrent_resolutions_get_one_outcome() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decision = json!({"resolution": "accept_client"});
    let (one, other) = at_once(&stack, &id, [decision.clone(), decision]).await;
    assert_eq!(one.ok(), other.ok());
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1)
    );
}

/// If there is no resource, no version condition protects the write: the condition on the
/// conflict's own status does.
#[tokio::test(start_paused = true)]
async fn concurrent_resolutions_without_resource_write_once() {
    let stack = Stack::new();
    stack
        .device("office", "pc")
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let id = super::rejected(&stack, meter("create", "m-2", 0, json!({"code": "A"}))).await;
    let decision = |note: &str| json!({"resolution": "accept_server", "note": note});
    let (one, other) = at_once(&stack, &id, [decision("one"), decision("other")]).await;
    assert_eq!((one.ok(), stack.rows("audit_log").len()), (other.ok(), 1));
}

/// Holds a resolution just before its write, runs `meanwhile`, and returns the response.
async fn overtaken(
    stack: &Stack,
    id: &str,
    decision: &Value,
    meanwhile: impl AsyncFnOnce(),
) -> ApiResponse {
    let gate = Arc::new(Gate::new(|call| call.operation == "TransactWriteItems"));
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    let (response, ()) = tokio::join!(resolve(&slow, id, decision), async {
        gate.reached().await;
        meanwhile().await;
        gate.open();
    });
    response
}

#[tokio::test(start_paused = true)]
async fn edit_joining_meanwhile_is_resolved_too() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decision = json!({"resolution": "accept_client"});
    let response = overtaken(&stack, &id, &decision, async || {
        let joined = stack
            .device("ana", "phone")
            .push_one(meter("update", "m-1", 1, json!({"note": "late"})))
            .await;
        assert_eq!(joined["conflict_id"], id.as_str());
    });

    assert_eq!(
        response.await.ok()["server_payload"],
        json!({"code": "m-1", "reading": 42, "note": "late"})
    );
    assert_eq!(
        (
            &shown(&stack, &id).await["edit_count"],
            stored(&stack, "m-1").0
        ),
        (&json!(2), 3)
    );
}

#[tokio::test(start_paused = true)]
async fn concurrent_write_is_not_lost() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decision = json!({"resolution": "accept_client"});
    let response = overtaken(&stack, &id, &decision, async || {
        let written = stack
            .device("office", "pc")
            .push_one(meter("update", "m-1", 2, json!({"place": "cellar"})))
            .await;
        assert_eq!(written["status"], "ok");
    });

    let response = response.await.ok();
    assert_eq!(
        response["server_payload"],
        json!({"code": "m-1", "reading": 42, "place": "cellar"})
    );
    assert_eq!(stored(&stack, "m-1").0, 4);
    assert_eq!(
        super::audited(&stack).await[0]["before"]["server_version"],
        3,
        "the audit log has the version that was replaced"
    );
}

#[tokio::test(start_paused = true)]
async fn expected_version_is_checked_at_commit() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decision = json!({"resolution": "accept_client", "expected_server_version": 2});
    let response = overtaken(&stack, &id, &decision, async || {
        stack
            .device("office", "pc")
            .push_one(meter("update", "m-1", 2, json!({"place": "cellar"})))
            .await;
    });

    let response = response.await;
    assert_eq!(
        (
            response.status,
            &response.json()["code"],
            &response.json()["server_version"]
        ),
        (409, &json!("version_changed"), &json!(3))
    );
    assert_eq!(
        (stored(&stack, "m-1").0, &shown(&stack, &id).await["status"]),
        (3, &json!("open"))
    );
}

#[tokio::test(start_paused = true)]
async fn picks_are_not_applied_to_newer_version() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decision = json!({"resolution": "field_pick", "fields": {"reading": "client"},
        "expected_server_version": 2});
    let response = overtaken(&stack, &id, &decision, async || {
        stack
            .device("office", "pc")
            .push_one(meter("update", "m-1", 2, json!({"place": "cellar"})))
            .await;
    });

    let response = response.await;
    assert_eq!(
        (response.status, &response.json()["code"]),
        (409, &json!("version_changed"))
    );
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn equal_concurrent_picks_get_one_outcome() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decision = json!({"resolution": "field_pick", "fields": {"reading": "client"},
        "expected_server_version": 2});
    let (one, other) = at_once(&stack, &id, [decision.clone(), decision]).await;
    assert_eq!(one.ok(), other.ok());
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn resolution_with_lost_response_is_recognized() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let mut is_first = true;
    let losing = Stack::over(
        stack.engine.clone(),
        Arc::new(Script::new(move |_, operation, _, moment| {
            let loses = operation == "TransactWriteItems" && moment == Moment::After && is_first;
            is_first &= !loses;
            if loses {
                CallFate::Lose
            } else {
                CallFate::Continue
            }
        })),
    );

    assert_eq!(
        resolve(&losing, &id, &json!({"resolution": "accept_client"}))
            .await
            .ok()["server_version"],
        3
    );
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1)
    );
}

/// Returns a hook that cancels every transaction with this reason.
fn cancelling(code: &'static str) -> Arc<Script> {
    Arc::new(Script::new(move |_, operation, _, moment| {
        if operation != "TransactWriteItems" || moment == Moment::After {
            return CallFate::Continue;
        }
        let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "Message": "Transaction cancelled",
            "CancellationReasons": [{"Code": "None"}, {"Code": code}, {"Code": "None"}]});
        CallFate::Reply(Reply {
            status: 400,
            body: body.to_string().into_bytes(),
        })
    }))
}

#[tokio::test(start_paused = true)]
async fn persistent_contention_and_throttling_are_reported() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    for (code, status, problem) in [
        ("TransactionConflict", 409, "contended"),
        ("ThrottlingError", 503, "unavailable"),
    ] {
        let contended = Stack::over(stack.engine.clone(), cancelling(code));
        let response = resolve(&contended, &id, &json!({"resolution": "accept_client"})).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (status, &json!(problem))
        );
    }

    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
}

#[tokio::test(start_paused = true)]
async fn resource_created_meanwhile_is_resolved() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let create = meter("create", "m-2", 0, json!({"code": "A"}));
    let id = super::rejected(&stack, create.clone()).await;

    let decision = json!({"resolution": "accept_server"});
    let response = overtaken(&stack, &id, &decision, async || {
        office
            .push_one(meter("update", "m-1", 1, json!({"code": "B"})))
            .await;
        assert_eq!(
            stack.device("ben", "tablet").push_one(create).await["status"],
            "ok"
        );
    });

    assert_eq!(
        response.await.ok()["server_version"],
        2,
        "the new resource is kept, as another version"
    );
    assert_eq!(stored(&stack, "m-2"), (2, false, r#"{"code":"A"}"#.into()));
}
