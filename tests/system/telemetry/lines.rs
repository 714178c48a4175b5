//! Log lines: the context and the level of each message.

use std::sync::Arc;

use lambda_http::{Context as LambdaContext, RequestExt as _};
use serde_json::{Value, json};
use tidemark::engine::{Reply, http::NoHook};
use tidemark_core::wire::problem::Problem;
use tidemark_tests::{Stack, scenario::meter, stack::stream_event};
use tracing::level_filters::LevelFilter;

use super::{CapturedLog, Responder};

fn unavailable() -> Arc<Responder> {
    Responder::all(Reply::error(400, "ValidationException", "no"))
}

/// Corrupts the version of the only resource.
fn corrupt_version(stack: &Stack) {
    let mut row = stack.rows("resources").remove(0);
    row["server_version"] = json!({"S": "one"});
    stack.dynamodb("PutItem", &json!({"TableName": "resources", "Item": row}));
}

/// Asserts that a line identifies the second request, a push of Ana's phone, and has a time and a
/// target.
fn assert_push_context(line: &Value) {
    let fields = ["request_id", "function", "tenant", "user", "device_id"]
        .map(|field| line[field].as_str().unwrap());
    assert_eq!(fields, ["request-1", "push", "acme", "ana", "phone"]);
    assert!(
        line["timestamp"].as_str().unwrap().ends_with('Z')
            && line["target"].as_str().unwrap().starts_with("tidemark_")
    );
}

#[tokio::test]
async fn push_lines_have_context_and_summary() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    corrupt_version(&stack);

    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let items = json!([
        meter("update", "m-1", 1, json!({"reading": 1})),
        meter("create", "m-2", 0, json!({}))
    ]);
    stack.device("ana", "phone").push(items).await;
    let lines = written.logs();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    lines.iter().for_each(assert_push_context);

    assert_eq!(
        [&lines[0]["level"], &lines[0]["message"]],
        ["ERROR", "stored resource cannot be decoded"]
    );
    let mut last = lines[1].clone();
    last.as_object_mut()
        .unwrap()
        .retain(|name, _| !matches!(name.as_str(), "timestamp" | "target"));
    let expected = json!({"level": "INFO", "message": "done", "status": 200, "duration_ms": 0, "items": 2, "errors": 1,
        "request_id": "request-1", "lambda_request_id": "", "function": "push", "tenant": "acme", "user": "ana", "device_id": "phone"});
    assert_eq!(last, expected);
}

#[tokio::test]
async fn rejected_request_logs_the_response_code() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    stack.post_bytes("sync/push", None, b"{}").await;
    stack
        .post_bytes(
            "sync/pull",
            Some(&stack.token("acme", "ana", &[], &[])),
            b"[]",
        )
        .await;
    stack
        .get("conflicts", &stack.token("acme", "ana", &[], &[]))
        .await;

    let fields =
        |line: &Value| ["function", "status", "code", "tenant"].map(|field| line[field].clone());
    let lines: Vec<_> = written.logs().iter().map(fields).collect();
    assert_eq!(
        json!(lines),
        json!([
            ["push", 401, "unauthenticated", null],
            ["pull", 400, "invalid_request", "acme"],
            ["admin", 403, "forbidden", "acme"]
        ])
    );
}

#[tokio::test]
async fn lambda_and_gateway_ids_are_logged() {
    let stack = Stack::new();
    let context = stack.context("presign", Arc::new(NoHook));
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let event = json!({"resource": "/x", "path": "/x", "httpMethod": "POST", "headers": {}, "requestContext":
        {"resourcePath": "/api/v1/mobile/media/presign", "httpMethod": "POST", "requestId": "of-the-gateway", "identity": {}}});

    let request = tidemark_tests::request(&event.to_string());
    let mut lambda_context = LambdaContext::default();
    lambda_context.request_id = "of-lambda".into();
    let respond = async { Err::<(), _>(Problem::not_found().into()) };
    let request = request.with_lambda_context(lambda_context);
    tidemark_aws::http::serve(&context, "presign", &request, respond).await;

    let line = written.logs().remove(0);
    assert_eq!(
        [&line["request_id"], &line["lambda_request_id"]],
        ["of-the-gateway", "of-lambda"]
    );
}

#[tokio::test]
async fn direct_resolution_logs_tenant_and_operator() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let event = json!({"conflict_id": "conf-1", "tenant": "acme", "resolved_by": "ops", "resolution": "accept_client"});
    let problem = stack.invoke("resolve", &event).await;
    let line = written.logs().remove(0);
    let fields =
        ["function", "code", "tenant", "user", "request_id"].map(|field| line[field].clone());
    assert_eq!(
        json!(fields),
        json!(["resolve", "not_found", "acme", "ops", problem["request_id"]])
    );
}

#[tokio::test]
async fn unsequenced_channel_is_logged() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;

    let changelog = stack.consumer("changelog", unavailable());
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let mut event = stream_event(&stack.stream_records());
    event.context.request_id = "of-lambda".into();
    changelog.sequence(event).await;

    let lines = written.logs();
    let fields = |at: usize| {
        [
            "level",
            "message",
            "function",
            "request_id",
            "tenant",
            "channel",
        ]
        .map(|field| lines[at][field].clone())
    };
    let why = "a channel could not be sequenced";
    assert_eq!(
        json!(fields(0)),
        json!(["ERROR", why, "changelog", "of-lambda", "acme", "tenant"])
    );
    assert_eq!(
        json!(fields(1)),
        json!([
            "INFO",
            "records will be redelivered",
            "changelog",
            "of-lambda",
            null,
            null
        ])
    );
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn error_level_keeps_context_and_metrics() {
    let stack = Stack::hooked(unavailable());
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    assert_eq!(
        stack
            .device("ana", "phone")
            .send(&json!([meter("create", "m-1", 0, json!({}))]))
            .await
            .status,
        503
    );

    let lines = written.logs();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let fields =
        ["message", "request_id", "tenant", "device_id"].map(|field| lines[0][field].clone());
    assert_eq!(
        json!(fields),
        json!(["a dependency is unavailable", "request-0", "acme", "phone"])
    );
    assert_eq!(written.metrics()[0]["Outages"], 1);
}
