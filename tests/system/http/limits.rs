//! The bounds that `GET /sync/limits` publishes are those that requests meet.

use lambda_http::http::HeaderMap;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::{
    limits::{PAGE_CHANGES_DEFAULT, PAYLOAD_BYTES_MAX},
    protocol::limits::LimitsResponse,
};
use tidemark_tests::{Device, Stack};

/// The bounds as published, behind both kinds of API.
async fn published(stack: &Stack) -> LimitsResponse {
    let response = stack
        .get("sync/limits", &stack.token("acme", "ana", &[], &[]))
        .await;
    response.ok();
    serde_json::from_str(&response.text).unwrap()
}

fn create(temp_id: &str, payload: Value) -> Value {
    json!({"client_temp_id": temp_id, "resource_type": "meter", "action": "create", "client_version": 0, "payload": payload})
}

/// The code that a push of one item is answered with; none for `ok`.
async fn code(device: &Device<'_>, item: Value) -> Value {
    device.push_one(item).await["code"].clone()
}

#[tokio::test]
async fn the_bounds_are_published_behind_both_kinds_of_api_to_callers_with_a_token() {
    let mut responses = Vec::new();
    for api in [ApiKind::Rest, ApiKind::Http] {
        let stack = Stack::new().behind(api);
        responses.push(published(&stack).await);
        assert_eq!(
            stack
                .call("GET", "sync/limits", &HeaderMap::new(), b"")
                .await
                .status,
            401
        );
    }
    assert_eq!(responses[0], responses[1]);
    assert_eq!(
        (
            responses[0].payload_bytes_max,
            responses[0].page_changes_default
        ),
        (PAYLOAD_BYTES_MAX, PAGE_CHANGES_DEFAULT)
    );
}

#[tokio::test]
async fn what_the_deployment_decides_is_what_the_template_says() {
    let limits = published(&Stack::new()).await;
    assert_eq!(
        (limits.retention.log_days, limits.retention.batch_days),
        (30, 90)
    );
    assert_eq!(
        (limits.media.bytes_max, limits.media.url_seconds),
        (26_214_400, 900)
    );
    assert!(
        limits.media.types.contains(&"image/jpeg".to_owned()),
        "{:?}",
        limits.media.types
    );
}

#[tokio::test]
async fn a_push_meets_the_published_bounds() {
    let stack = Stack::new();
    let limits = published(&stack).await;
    let phone = stack.device("ana", "phone");
    let items = |count: usize| -> Value {
        (0..count)
            .map(|n| create(&format!("t{n}"), json!({})))
            .collect()
    };
    assert_eq!(phone.send(&items(limits.batch_items_max)).await.status, 200);
    assert_eq!(
        phone.send(&items(limits.batch_items_max + 1)).await.status,
        400
    );

    let name = |bytes: usize| create(&"n".repeat(bytes), json!({}));
    assert_eq!(code(&phone, name(limits.name_bytes_max)).await, Value::Null);
    assert_eq!(
        code(&phone, name(limits.name_bytes_max + 1)).await,
        "invalid_item"
    );

    let fields = |count: usize| {
        create(
            "f",
            (0..count)
                .map(|n| (n.to_string(), json!(n)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        )
    };
    assert_eq!(
        code(&phone, fields(limits.payload_fields_max)).await,
        Value::Null
    );
    assert_eq!(
        code(&phone, fields(limits.payload_fields_max + 1)).await,
        "too_many_fields"
    );

    let nested = |depth: usize| {
        create(
            "d",
            json!({"a": (2..depth).fold(json!([]), |inner, _| json!([inner]))}),
        )
    };
    assert_eq!(
        code(&phone, nested(limits.payload_nesting_max)).await,
        Value::Null
    );
    assert_eq!(
        code(&phone, nested(limits.payload_nesting_max + 1)).await,
        "payload_too_deep"
    );

    let bytes = |count: usize| create("b", json!({"a": "x".repeat(count - r#"{"a":""}"#.len())}));
    assert_eq!(
        code(&phone, bytes(limits.payload_bytes_max)).await,
        Value::Null
    );
    assert_eq!(
        code(&phone, bytes(limits.payload_bytes_max + 1)).await,
        "payload_too_large"
    );

    let version = |version: u64| {
        let mut item = create("v", json!({}));
        item["client_version"] = version.into();
        item
    };
    assert_eq!(code(&phone, version(limits.version_max)).await, Value::Null);
    assert_eq!(
        code(&phone, version(limits.version_max + 1)).await,
        "invalid_item"
    );
}

#[tokio::test]
async fn a_pull_meets_the_published_bounds() {
    let stack = Stack::new();
    let limits = published(&stack).await;
    let token = stack.token("acme", "ana", &[], &[]);
    let status = async |body: Value| stack.post("sync/pull", &token, &body).await.status;
    assert_eq!(status(json!({"limit": limits.page_changes_max})).await, 200);
    assert_eq!(
        status(json!({"limit": limits.page_changes_max + 1})).await,
        400
    );

    let phone = stack.device("ana", "phone");
    for batch in 0..=limits.page_changes_default / limits.batch_items_max {
        let items = (0..limits.batch_items_max).map(|n| create(&format!("{batch}-{n}"), json!({})));
        phone.push(items.collect()).await;
    }
    let page = stack.post("sync/pull", &token, &json!({})).await.ok();
    assert_eq!(
        page["changes"].as_array().unwrap().len(),
        limits.page_changes_default
    );
}

#[tokio::test]
async fn a_body_meets_its_published_bound() {
    let stack = Stack::new();
    let limits = published(&stack).await;
    let token = stack.token("acme", "ana", &[], &[]);
    let mut body = b"{}".to_vec();
    body.resize(limits.body_bytes_max, b' ');
    assert_eq!(
        stack
            .post_bytes("sync/pull", Some(&token), &body)
            .await
            .status,
        200
    );
    body.push(b' ');
    assert_eq!(
        stack
            .post_bytes("sync/pull", Some(&token), &body)
            .await
            .status,
        413
    );
}
