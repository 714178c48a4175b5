//! `POST /conflicts/resolve`: one result for each conflict, each resolved by itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_tests::{
    ApiResponse, Script, Stack,
    hooks::{Gate, Moment},
    scenario,
};

use super::{admin, audited, conflicted, dry_run::all_rows, meter, resolve, shown, stored};

/// Returns a request about these conflicts, each with the reviewed version.
fn about(conflicts: &[(&str, u64)], resolution: &str) -> Value {
    let reviewed =
        |(id, version): &(&str, u64)| json!({"id": id, "expected_server_version": version});
    let conflicts: Vec<Value> = conflicts.iter().map(reviewed).collect();
    json!({"conflicts": conflicts, "resolution": resolution})
}

/// Opens a conflict about each of the meters `m-1` to `m-<count>`. Returns their ids.
async fn opened(stack: &Stack, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 1..=count {
        ids.push(conflicted(stack, &format!("m-{number}")).await);
    }
    ids
}

/// Sends a bulk request as an admin.
async fn send(stack: &Stack, request: &Value) -> ApiResponse {
    stack
        .post("conflicts/resolve", &admin(stack), request)
        .await
}

/// Returns the status of each result, with the code of a problem.
fn statuses(response: &Value) -> Vec<String> {
    let results = response["results"].as_array().expect("results").iter();
    results
        .map(|result| {
            let status = result["status"].as_str().expect("a status");
            match result["problem"]["code"].as_str() {
                Some(code) => format!("{status} {code}"),
                None => status.to_owned(),
            }
        })
        .collect()
}

#[tokio::test]
async fn each_conflict_has_its_own_result() {
    let stack = Stack::new();
    let ids = opened(&stack, 5).await;
    let other = json!({"resolution": "accept_server"});
    resolve(&stack, &ids[2], &other).await.ok();
    let same = json!({"resolution": "accept_client"});
    resolve(&stack, &ids[3], &same).await.ok();

    let (known, last) = ids[0].split_at(ids[0].len() - 1);
    let missing = format!("{known}{}", if last == "0" { 1 } else { 0 });
    let conflicts: [(&str, u64); 6] = [
        (&ids[0], 2),
        (&ids[1], 1),
        (&ids[2], 2),
        (&ids[3], 2),
        (&missing, 2),
        (&ids[4], 2),
    ];
    let response = send(&stack, &about(&conflicts, "accept_client")).await.ok();

    let results = response["results"].as_array().expect("results");
    let returned = results.iter().map(|result| result["id"].as_str());
    assert!(returned.eq(conflicts.iter().map(|(id, _)| Some(*id))));
    assert_eq!(
        statuses(&response),
        [
            "resolved",
            "rejected version_changed",
            "rejected already_resolved",
            "resolved",
            "rejected not_found",
            "resolved"
        ]
    );
    let versions = [1, 2, 3, 4, 5].map(|number| stored(&stack, &format!("m-{number}")).0);
    assert_eq!(versions, [3, 2, 3, 3, 3]);
}

#[tokio::test]
async fn problem_of_a_conflict_has_no_payload() {
    let stack = Stack::new();
    let ids = opened(&stack, 1).await;
    let request = about(&[(&ids[0], 1)], "accept_client");
    let response = send(&stack, &request).await.ok();

    let mut expected = json!({"id": ids[0], "status": "rejected", "problem": {
        "code": "version_changed", "server_version": 2, "server_deleted": false}});
    expected["problem"]["detail"] = response["results"][0]["problem"]["detail"].clone();
    assert_eq!(response["results"][0], expected);
    assert!(expected["problem"]["detail"].is_string(), "{expected}");
}

#[tokio::test]
async fn repeated_bulk_request_is_idempotent() {
    let stack = Stack::new();
    let ids = opened(&stack, 2).await;
    let request = about(&[(&ids[0], 2), (&ids[1], 2)], "accept_client");
    let first = send(&stack, &request).await.ok();
    let rows = all_rows(&stack);
    assert_eq!(
        first["results"][0],
        json!({"id": ids[0], "status": "resolved", "resolution": "accept_client",
            "server_version": 3})
    );

    let again = send(&stack, &request).await.ok();
    assert_eq!(again["results"], first["results"]);
    assert_ne!(again["bulk_id"], first["bulk_id"]);
    assert_eq!(all_rows(&stack), rows);
}

#[tokio::test]
async fn audit_entries_share_the_bulk_id() {
    let stack = Stack::new();
    let ids = opened(&stack, 3).await;
    let single = json!({"resolution": "accept_client"});
    resolve(&stack, &ids[0], &single).await.ok();
    let mut request = about(&[(&ids[1], 2), (&ids[2], 2)], "accept_server");
    request["note"] = "the north tour".into();
    let response = send(&stack, &request).await.ok();

    let bulk_id = &response["bulk_id"];
    assert!(
        bulk_id.as_str().is_some_and(|id| id.len() == 36),
        "{bulk_id}"
    );
    let entries = audited(&stack).await;
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        let is_single = entry["conflict_id"] == ids[0].as_str();
        let expected = (!is_single).then_some(bulk_id);
        assert_eq!(entry.get("bulk_id"), expected, "{entry}");
        let note = (!is_single).then(|| json!("the north tour"));
        assert_eq!(entry.get("note"), note.as_ref(), "{entry}");
    }
}

#[tokio::test]
async fn picks_apply_to_each_conflict() {
    let stack = Stack::new();
    let ids = opened(&stack, 2).await;
    let mut request = about(&[(&ids[0], 2), (&ids[1], 2)], "field_pick");
    request["fields"] = json!({"reading": "client", "tour": {"value": "north"}});
    let response = send(&stack, &request).await.ok();

    assert_eq!(statuses(&response), ["resolved", "resolved"]);
    assert_eq!(response["results"][1]["resolution"], "manual_merge");
    for id in ["m-1", "m-2"] {
        let payload = format!(r#"{{"code":"{id}","reading":42,"tour":"north"}}"#);
        assert_eq!(stored(&stack, id), (3, false, payload));
    }
    let again = send(&stack, &request).await.ok();
    assert_eq!(again["results"], response["results"]);
}

/// Returns requests that are malformed, each with the path that the problem names.
fn malformed() -> Vec<(Value, &'static str)> {
    let ids: Vec<String> = (0..26).map(|number| format!("conf-{number}")).collect();
    let of = |count: usize| -> Vec<(&str, u64)> {
        ids[..count].iter().map(|id| (id.as_str(), 2)).collect()
    };
    let long = "x".repeat(257);
    let with = |field: &str, value: Value| {
        let mut request = about(&of(2), "accept_client");
        request[field] = value;
        request
    };

    vec![
        (about(&[], "accept_client"), "conflicts"),
        (about(&of(26), "accept_client"), "conflicts"),
        (
            about(&[("a", 2), ("b", 2), ("a", 3)], "accept_client"),
            "conflicts[2].id",
        ),
        (about(&[(&long, 2)], "accept_client"), "conflicts[0].id"),
        (about(&[("", 2)], "accept_client"), "conflicts[0].id"),
        (with("conflicts", json!([{"id": "a"}])), "conflicts[0]"),
        (with("conflicts", json!({})), "conflicts"),
        (about(&of(1), "manual_merge"), "resolution"),
        (about(&of(1), "accept"), "resolution"),
        (about(&of(1), "field_pick"), "fields"),
        (with("fields", json!({"a": "client"})), "fields"),
        (with("note", json!("x".repeat(2001))), "note"),
        (with("dry_run", json!("yes")), "dry_run"),
    ]
}

#[tokio::test]
async fn malformed_bulk_request_names_the_field() {
    let stack = Stack::new();
    for (request, path) in malformed() {
        let response = send(&stack, &request).await;
        let problem = response.json();
        assert_eq!(
            (response.status, &problem["code"], &problem["path"]),
            (400, &json!("invalid_request"), &json!(path)),
            "{request}: {problem}"
        );
    }
}

#[tokio::test]
async fn most_conflicts_of_a_request_are_processed() {
    let stack = Stack::new();
    let ids: Vec<String> = (0..25).map(|number| format!("conf-{number}")).collect();
    let conflicts: Vec<_> = ids.iter().map(|id| (id.as_str(), 2)).collect();
    let response = send(&stack, &about(&conflicts, "accept_client")).await.ok();
    assert_eq!(statuses(&response), vec!["rejected not_found"; 25]);
}

#[tokio::test]
async fn bulk_reaches_conflicts_of_its_tenant_only() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let before = all_rows(&stack);
    let request = about(&[(&id, 2)], "accept_client");

    let elsewhere = stack.token("other", "root", &["admin"], &[]);
    let response = stack.post("conflicts/resolve", &elsewhere, &request).await;
    assert_eq!(statuses(&response.ok()), ["rejected not_found"]);
    let ana = stack.token("acme", "ana", &["editor"], &[]);
    let response = stack.post("conflicts/resolve", &ana, &request).await;
    assert_eq!(
        (response.status, &response.json()["code"]),
        (403, &json!("forbidden"))
    );
    assert_eq!(all_rows(&stack), before);
}

#[tokio::test]
async fn dry_bulk_request_writes_nothing() {
    let stack = Stack::new();
    let ids = opened(&stack, 2).await;
    let before = all_rows(&stack);
    let mut request = about(&[(&ids[0], 2), (&ids[1], 1)], "accept_client");
    request["dry_run"] = true.into();
    let response = send(&stack, &request).await.ok();

    assert_eq!(all_rows(&stack), before);
    assert_eq!(response["dry_run"], true);
    assert_eq!(statuses(&response), ["open", "rejected version_changed"]);
    assert_eq!(
        response["results"][0],
        json!({"id": ids[0], "status": "open", "resolution": "accept_client",
            "server_version": 3})
    );
}

/// Each conflict loads three payloads of 340 KB: those of the resource, of the conflict's server
/// state and of its edit. Eight of them exceed 8 MB.
#[tokio::test]
async fn loaded_payloads_defer_the_rest() {
    let stack = Stack::new();
    let large = |letter: &str| json!({"text": letter.repeat(340_000)});
    let mut ids = Vec::new();
    for number in 0..10 {
        let fields = [large("a"), json!({"n": 1}), large("b")];
        ids.push(scenario::open_conflict(&stack, &format!("m-{number}"), fields).await);
    }

    let conflicts: Vec<_> = ids.iter().map(|id| (id.as_str(), 2)).collect();
    let response = send(&stack, &about(&conflicts, "accept_client")).await.ok();
    let mut expected = vec!["resolved"; 8];
    expected.extend(["deferred"; 2]);
    assert_eq!(statuses(&response), expected);
    assert_eq!(
        response["results"][9],
        json!({"id": ids[9], "status": "deferred"})
    );
    assert_eq!(shown(&stack, &ids[8]).await["status"], "open");

    let rest = about(&conflicts[8..], "accept_client");
    let response = send(&stack, &rest).await.ok();
    assert_eq!(statuses(&response), ["resolved"; 2]);
}

/// Returns a deployment over the same tables whose calls are throttled while the switch is on. A
/// transaction turns it on if `after_transaction` is set.
fn throttled(stack: &Stack, is_out: bool, after_transaction: bool) -> Stack {
    let is_out = AtomicBool::new(is_out);
    let script = Script::new(move |_, operation, _, moment| match moment {
        Moment::Before if is_out.load(Ordering::SeqCst) => {
            CallFate::Reply(Reply::error(400, "ThrottlingException", "slow down"))
        }
        Moment::After if after_transaction && operation == "TransactWriteItems" => {
            is_out.store(true, Ordering::SeqCst);
            CallFate::Continue
        }
        _ => CallFate::Continue,
    });
    Stack::over(stack.engine.clone(), Arc::new(script))
}

#[tokio::test(start_paused = true)]
async fn outage_after_a_result_defers_the_rest() {
    let stack = Stack::new();
    let ids = opened(&stack, 3).await;
    let conflicts: Vec<_> = ids.iter().map(|id| (id.as_str(), 2)).collect();
    let request = about(&conflicts, "accept_client");

    let response = send(&throttled(&stack, true, false), &request).await;
    assert_eq!(
        (response.status, &response.json()["code"]),
        (503, &json!("unavailable"))
    );
    assert!(stack.rows("audit_log").is_empty());

    let response = send(&throttled(&stack, false, true), &request).await.ok();
    assert_eq!(statuses(&response), ["resolved", "deferred", "deferred"]);
    let response = send(&stack, &request).await.ok();
    assert_eq!(statuses(&response), ["resolved"; 3]);
    assert_eq!(stack.rows("audit_log").len(), 3);
}

/// A corrupt row prevents the resolution of its own conflict only.
#[tokio::test]
async fn corrupt_conflict_is_rejected_alone() {
    let stack = Stack::new();
    let ids = opened(&stack, 2).await;
    let row = stack
        .rows("conflicts")
        .into_iter()
        .find(|row| row["id"]["S"] == ids[0].as_str())
        .expect("the row");
    stack.dynamodb(
        "UpdateItem",
        &json!({"TableName": "conflicts", "Key": {"pk": row["pk"], "sk": row["sk"]},
            "UpdateExpression": "SET #code = :code", "ExpressionAttributeNames": {"#code": "code"},
            "ExpressionAttributeValues": {":code": {"S": "no code"}}}),
    );

    let request = about(&[(&ids[0], 2), (&ids[1], 2)], "accept_client");
    let response = send(&stack, &request).await.ok();
    assert_eq!(statuses(&response), ["rejected unavailable", "resolved"]);
}

#[tokio::test(start_paused = true)]
async fn results_reflect_concurrent_changes() {
    let stack = Stack::new();
    let ids = opened(&stack, 2).await;
    let request = about(&[(&ids[0], 2), (&ids[1], 2)], "accept_client");
    let gate = Arc::new(Gate::new(|call| call.operation == "TransactWriteItems"));
    let slow = Stack::over(stack.engine.clone(), gate.clone());

    // The first conflict's resource changes and the second conflict is resolved, while the request
    // is about to write the first resolution.
    let (response, ()) = tokio::join!(send(&slow, &request), async {
        gate.reached().await;
        let update = meter("update", "m-1", 2, json!({"place": "cellar"}));
        stack.device("office", "pc").push_one(update).await;
        let other = json!({"resolution": "accept_server"});
        resolve(&stack, &ids[1], &other).await.ok();
        gate.open();
    });

    assert_eq!(
        statuses(&response.ok()),
        ["rejected version_changed", "rejected already_resolved"]
    );
    assert_eq!(stored(&stack, "m-1").0, 3);
    assert_eq!(audited(&stack).await.len(), 1);
}
