//! Requests meet exactly the bounds that `GET /sync/limits` publishes.

use lambda_http::http::HeaderMap;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::{
    model::limits::{PAGE_CHANGES_DEFAULT, PAYLOAD_BYTES_MAX},
    wire::limits::LimitsResponse,
};
use tidemark_tests::{Device, Item, Stack};

/// Returns the bounds that the deployment publishes.
async fn published(stack: &Stack) -> LimitsResponse {
    let response = stack
        .get("sync/limits", &stack.token("acme", "ana", &[], &[]))
        .await;
    response.ok();
    serde_json::from_str(&response.text).unwrap()
}

fn create(temp_id: &str, payload: Value) -> Item {
    Item::create_as("meter", temp_id, payload)
}

/// Returns the code in the result of a push of one item, or null for `ok`.
async fn code(device: &Device<'_>, item: Item) -> Value {
    device.push_one(item).await["code"].clone()
}

#[tokio::test]
async fn bounds_are_published_by_both_apis() {
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
async fn published_settings_match_the_template() {
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

/// Checks that an item at its bound is applied, and that the item beyond it is rejected with this
/// code.
async fn assert_bound(device: &Device<'_>, max: usize, item: impl Fn(usize) -> Item, over: &str) {
    assert_eq!(
        code(device, item(max)).await,
        Value::Null,
        "{over} at {max}"
    );
    assert_eq!(code(device, item(max + 1)).await, over, "beyond {max}");
}

/// Returns a create with so many fields.
fn with_fields(count: usize) -> Item {
    let fields = (0..count).map(|n| (n.to_string(), json!(n)));
    create("f", fields.collect::<serde_json::Map<_, _>>().into())
}

/// Returns a create whose payload is nested so deeply.
fn nested(depth: usize) -> Item {
    let list = (2..depth).fold(json!([]), |inner, _| json!([inner]));
    create("d", json!({"a": list}))
}

/// Returns a create whose payload has so many bytes.
fn with_bytes(count: usize) -> Item {
    create("b", json!({"a": "x".repeat(count - r#"{"a":""}"#.len())}))
}

#[tokio::test]
async fn push_enforces_the_published_bounds() {
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

    let named = |bytes: usize| create(&"n".repeat(bytes), json!({}));
    assert_bound(&phone, limits.name_bytes_max, named, "invalid_item").await;
    assert_bound(
        &phone,
        limits.payload_fields_max,
        with_fields,
        "too_many_fields",
    )
    .await;
    assert_bound(
        &phone,
        limits.payload_nesting_max,
        nested,
        "payload_too_deep",
    )
    .await;
    assert_bound(
        &phone,
        limits.payload_bytes_max,
        with_bytes,
        "payload_too_large",
    )
    .await;

    let create_at = |version: u64| create("v", json!({})).version(version);
    let version = create_at(limits.version_max);
    assert_eq!(code(&phone, version).await, Value::Null);
    let version = create_at(limits.version_max + 1);
    assert_eq!(code(&phone, version).await, "invalid_item");
}

#[tokio::test]
async fn pull_enforces_the_published_bounds() {
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
async fn request_body_enforces_its_published_bound() {
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
