//! Log lines: whose they are, and at which level what is said.

use std::sync::Arc;

use lambda_http::{Context as LambdaContext, RequestExt as _};
use serde_json::{Value, json};
use tidemark::engine::{Reply, http::NoHook};
use tidemark_tests::{Stack, stack::stream_event};
use tracing::level_filters::LevelFilter;

use super::{CapturedLog, Responder, meter};

fn unavailable() -> Arc<Responder> {
    Responder::all(Reply::error(400, "ValidationException", "no"))
}

#[tokio::test]
async fn every_line_of_a_push_says_whose_it_is_and_the_last_one_how_it_went() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    let mut broken = stack.rows("resources").remove(0);
    broken["server_version"] = json!({"S": "one"});
    stack.dynamodb(
        "PutItem",
        &json!({"TableName": "resources", "Item": broken}),
    );

    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let items = json!([
        meter("update", "m-1", 1, json!({"reading": 1})),
        meter("create", "m-2", 0, json!({}))
    ]);
    stack.device("ana", "phone").push(items).await;
    let lines = written.logs();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in &lines {
        let told = ["request_id", "function", "tenant", "user", "device_id"]
            .map(|field| line[field].as_str().unwrap());
        assert_eq!(told, ["request-1", "push", "acme", "ana", "phone"]);
        assert!(
            line["timestamp"].as_str().unwrap().ends_with('Z')
                && line["target"].as_str().unwrap().starts_with("tidemark_")
        );
    }
    assert_eq!(
        [&lines[0]["level"], &lines[0]["message"]],
        ["ERROR", "a resource does not read"]
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
async fn a_refused_request_says_the_code_that_the_client_got() {
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
    let told =
        |line: &Value| ["function", "status", "code", "tenant"].map(|field| line[field].clone());
    let lines: Vec<_> = written.logs().iter().map(told).collect();
    assert_eq!(
        json!(lines),
        json!([
            ["push", 401, "unauthenticated", null],
            ["pull", 400, "invalid_request", "acme"],
            ["conflicts", 403, "forbidden", "acme"]
        ])
    );
}

#[tokio::test]
async fn lambdas_own_id_stands_beside_the_gateways() {
    let stack = Stack::new();
    let context = stack.context("presign", Arc::new(NoHook));
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let event = json!({"resource": "/x", "path": "/x", "httpMethod": "POST", "headers": {}, "requestContext":
        {"resourcePath": "/api/v1/mobile/media/presign", "httpMethod": "POST", "requestId": "of-the-gateway", "identity": {}}});
    let request = tidemark_tests::request(&event.to_string());
    let mut lambda_context = LambdaContext::default();
    lambda_context.request_id = "of-lambda".into();
    let respond = async { Err::<(), _>(tidemark_aws::http::not_found().into()) };
    let request = request.with_lambda_context(lambda_context);
    tidemark_aws::http::serve(&context, "presign", &request, respond).await;
    let line = written.logs().remove(0);
    assert_eq!(
        [&line["request_id"], &line["lambda_request_id"]],
        ["of-the-gateway", "of-lambda"]
    );
}

#[tokio::test]
async fn a_direct_decision_says_its_tenant_and_who_decides() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let event = json!({"conflict_id": "conf-1", "tenant": "acme", "resolved_by": "ops", "resolution": "accept_client"});
    let problem = stack.invoke("resolve", &event).await;
    let line = written.logs().remove(0);
    let told =
        ["function", "code", "tenant", "user", "request_id"].map(|field| line[field].clone());
    assert_eq!(
        json!(told),
        json!(["resolve", "not_found", "acme", "ops", problem["request_id"]])
    );
}

#[tokio::test]
async fn a_channel_that_could_not_be_sequenced_is_named() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    let context = stack.context("changelog", unavailable());
    let (written, _guard) = CapturedLog::at(LevelFilter::INFO);
    let mut event = stream_event(&stack.stream_records());
    event.context.request_id = "of-lambda".into();
    tidemark_changelog::handle(&context, event).await.unwrap();
    let lines = written.logs();
    let told = |at: usize| {
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
        json!(told(0)),
        json!(["ERROR", why, "changelog", "of-lambda", "acme", "tenant"])
    );
    assert_eq!(
        json!(told(1)),
        json!([
            "INFO",
            "records were given back",
            "changelog",
            "of-lambda",
            null,
            null
        ])
    );
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn at_the_level_of_errors_an_error_still_says_whose_it_is_and_metrics_are_told() {
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
    let told =
        ["message", "request_id", "tenant", "device_id"].map(|field| lines[0][field].clone());
    assert_eq!(
        json!(told),
        json!(["the tables did not answer", "request-0", "acme", "phone"])
    );
    assert_eq!(written.metrics()[0]["Outages"], 1);
}
