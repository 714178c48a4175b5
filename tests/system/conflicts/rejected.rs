//! Rejected resolutions: none of them writes anything.

use serde_json::{Value, json};
use tidemark_tests::{ApiResponse, Item, Stack};

use super::{admin, conflicted, conflicted_by, meter, resolve, shown, stored};

/// Asserts that a resolution was rejected with this status and code, that the meter `m-1` is still
/// at version 2 and that the conflict is open. Returns the problem.
async fn assert_rejected(
    stack: &Stack,
    id: &str,
    response: &ApiResponse,
    status: u16,
    code: &str,
) -> Value {
    let body = response.json();
    assert_eq!(
        (response.status, &body["code"]),
        (status, &json!(code)),
        "{body}"
    );

    assert_eq!(
        (stored(stack, "m-1").0, &shown(stack, id).await["status"]),
        (2, &json!("open"))
    );
    assert!(stack.rows("audit_log").is_empty());
    body
}

#[tokio::test]
async fn only_admins_resolve_their_tenants_conflicts() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let decide = async |token: String| {
        stack
            .post(
                &format!("conflicts/{id}/resolve"),
                &token,
                &json!({"resolution": "accept_client"}),
            )
            .await
    };

    assert_rejected(
        &stack,
        &id,
        &decide(stack.token("acme", "ana", &["editor"], &[])).await,
        403,
        "forbidden",
    )
    .await;
    assert_rejected(
        &stack,
        &id,
        &decide(stack.token("other", "root", &["admin"], &[])).await,
        404,
        "not_found",
    )
    .await;

    for unknown in [
        "conf-abc-1".to_owned(),
        format!("{}0", &id[..id.len() - 1]),
        format!("part#{id}#server-2"),
    ] {
        let response = resolve(&stack, &unknown, &json!({"resolution": "accept_client"})).await;
        assert_rejected(&stack, &id, &response, 404, "not_found").await;
    }
}

#[tokio::test]
async fn stale_expected_version_is_rejected() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    for expected in [0, 1, 3] {
        let decision = json!({"resolution": "accept_client", "expected_server_version": expected});
        let body = assert_rejected(
            &stack,
            &id,
            &resolve(&stack, &id, &decision).await,
            409,
            "version_changed",
        )
        .await;
        assert_eq!(
            [
                &body["server_version"],
                &body["server_deleted"],
                &body["server_payload"]
            ],
            [
                &json!(2),
                &json!(false),
                &json!({"code": "m-1", "reading": 50})
            ]
        );
    }

    resolve(
        &stack,
        &id,
        &json!({"resolution": "accept_client", "expected_server_version": 2}),
    )
    .await
    .ok();
}

#[tokio::test]
async fn malformed_resolution_names_the_field() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    for (body, path) in [
        (json!({}), "$"),
        (json!({"resolution": "accept_both"}), "resolution"),
        (json!({"resolution": {"accept_client": null}}), "resolution"),
        (json!({"resolution": "manual_merge"}), "payload"),
        (
            json!({"resolution": "manual_merge", "payload": null}),
            "payload",
        ),
        (
            json!({"resolution": "manual_merge", "payload": ["x"]}),
            "payload",
        ),
        (
            json!({"resolution": "accept_client", "payload": {}}),
            "payload",
        ),
        (
            json!({"resolution": "accept_server", "payload": {"a": 1}}),
            "payload",
        ),
        (
            json!({"resolution": "accept_client", "expected_server_version": -1}),
            "expected_server_version",
        ),
        (
            json!({"resolution": "accept_client", "expected_server_version": "2"}),
            "expected_server_version",
        ),
        (json!({"resolution": "accept_client", "note": 5}), "note"),
        (
            json!({"resolution": "accept_client", "note": "ü".repeat(2001)}),
            "note",
        ),
        (json!(["accept_client"]), "$"),
    ] {
        let body = assert_rejected(
            &stack,
            &id,
            &resolve(&stack, &id, &body).await,
            400,
            "invalid_request",
        )
        .await;
        assert_eq!(body["path"], path, "{body}");
    }

    let longest = json!({"resolution": "accept_client", "note": "ü".repeat(2000)});
    assert_eq!(
        resolve(&stack, &id, &longest).await.ok()["note"],
        "ü".repeat(2000)
    );
}

#[tokio::test]
async fn resolved_content_is_validated() {
    let stack = Stack::new();
    let id = conflicted_by(&stack, "m-1", json!({"text": "x".repeat(200 * 1024)})).await;
    let fields: serde_json::Map<String, Value> = (0..501)
        .map(|number| (format!("f{number}"), json!(1)))
        .collect();
    let deep = (0..64).fold(json!(1), |inner, _| json!([inner]));

    for (payload, reason) in [
        (json!({"text": "x".repeat(350 * 1024)}), "payload_too_large"),
        (Value::Object(fields), "too_many_fields"),
        (json!({"deep": deep}), "payload_too_deep"),
    ] {
        let decision = json!({"resolution": "manual_merge", "payload": payload});
        let body = assert_rejected(
            &stack,
            &id,
            &resolve(&stack, &id, &decision).await,
            422,
            "unprocessable",
        )
        .await;
        assert_eq!(
            (&body["path"], &body["reason"]),
            (&json!("payload"), &json!(reason))
        );
    }

    // The patch fitted the limit when it was pushed, but does not fit the current payload.
    let fits = json!({"resolution": "accept_client"});
    stack
        .device("office", "pc")
        .push_one(meter(
            "update",
            "m-1",
            2,
            json!({"more": "y".repeat(200 * 1024)}),
        ))
        .await;
    let rejected = resolve(&stack, &id, &fits).await;
    assert_eq!(
        (rejected.status, &rejected.json()["reason"]),
        (422, &json!("payload_too_large"))
    );
}

#[tokio::test]
async fn missing_required_field_is_named() {
    let stack = Stack::new();
    let (office, ana) = (stack.device("ana", "pc"), stack.device("ana", "phone"));
    let submission = |action: &str, version: u64, payload: Value| {
        let item = Item::new("submission", action, version).base(version);
        json!([item.payload(payload)])
    };

    office
        .push(submission(
            "create",
            0,
            json!({"id": "s-1", "form_id": "f", "data": {}}),
        ))
        .await;
    office
        .push(submission(
            "update",
            1,
            json!({"id": "s-1", "data": {"a": 1}}),
        ))
        .await;
    let rejected = ana
        .push(submission(
            "update",
            1,
            json!({"id": "s-1", "form_id": null}),
        ))
        .await
        .remove(0);
    let id = rejected["conflict_id"]
        .as_str()
        .expect("a conflict")
        .to_owned();

    let by_client = resolve(&stack, &id, &json!({"resolution": "accept_client"})).await;
    assert_eq!(
        (by_client.status, &by_client.json()["code"]),
        (422, &json!("unprocessable"))
    );
    assert!(
        by_client.json()["detail"]
            .as_str()
            .expect("text")
            .contains("payload.form_id"),
        "{}",
        by_client.text
    );

    let merged = resolve(
        &stack,
        &id,
        &json!({"resolution": "manual_merge", "payload": {"form_id": "f"}}),
    )
    .await;
    assert_eq!(
        (merged.status, &merged.json()["path"]),
        (422, &json!("payload.data"))
    );
}

#[tokio::test]
async fn malformed_or_oversized_body_is_rejected() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let path = format!("conflicts/{id}/resolve");
    for (body, status, code) in [
        (b"{\"resolution\":".to_vec(), 400, "invalid_request"),
        (vec![0xff], 400, "invalid_request"),
        (vec![b' '; 3 * 1024 * 1024 + 1], 413, "body_too_large"),
    ] {
        let response = stack.post_bytes(&path, Some(&admin(&stack)), &body).await;
        assert_rejected(&stack, &id, &response, status, code).await;
    }
}
