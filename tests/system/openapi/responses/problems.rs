//! Problems that depend on the operation only through its path and body, or not at all.

use std::sync::Arc;

use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use tidemark::engine::http::CallFate;
use tidemark_core::wire::problem::{Problem, ProblemBody, ProblemCode};
use tidemark_tests::{Script, Stack, scenario};

use super::Recorder;

/// Records problems that depend on the operation only through its path and body.
pub(super) async fn rejections(stack: &Stack, recorder: &mut Recorder) {
    let root = scenario::admin(stack);
    for (operation, path) in [
        ("push", "sync/push"),
        ("pull", "sync/pull"),
        ("acknowledge", "sync/ack"),
        ("presign", "media/presign"),
        ("resolveConflict", "conflicts/conf-unknown/resolve"),
        ("resolveConflicts", "conflicts/resolve"),
        ("replayBatch", "batches/batch-unknown/replay"),
        ("replayBatches", "batches/replay"),
        ("correctItem", "batches/batch-unknown/items/0/correct"),
    ] {
        recorder.problem(operation, &stack.post_bytes(path, Some(&root), b"[]").await);
    }

    recorder.problem(
        "readConflict",
        &stack.get("conflicts/conf-unknown", &root).await,
    );
    recorder.problem(
        "readBatch",
        &stack.get("batches/batch-unknown", &root).await,
    );

    let decision = json!({"resolution": "accept_client"});
    recorder.problem(
        "resolveConflict",
        &stack
            .post("conflicts/conf-unknown/resolve", &root, &decision)
            .await,
    );
    recorder.problem(
        "replayBatch",
        &stack
            .post("batches/batch-unknown/replay", &root, &json!({}))
            .await,
    );

    let correction = json!({"payload": {}});
    let path = "batches/batch-unknown/items/0/correct";
    let response = stack.post(path, &root, &correction).await;
    recorder.problem("correctItem", &response);

    // Ten failed conditions in a row cannot be provoked by requests alone.
    let contended = Problem::new(
        ProblemCode::Contended,
        "it was changed concurrently: read the current state, and retry",
    );
    let contended = serde_json::to_value(ProblemBody::new(&contended, "request-1")).unwrap();
    for operation in ["resolveConflict", "replayBatch", "correctItem"] {
        recorder.add(operation, 409, "contended", contended.clone());
    }
}

/// Records problems that all operations, or all operations with a body, share.
pub(super) async fn common(stack: &Stack, recorder: &mut Recorder) {
    let root = scenario::admin(stack);
    recorder.problem("*", &stack.post_bytes("sync/pull", None, b"{}").await);

    let lost = Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Lose)));
    recorder.problem("*", &lost.post("sync/pull", &root, &json!({})).await);
    recorder.problem(
        "*",
        &stack
            .post_bytes("sync/pull", Some(&root), &[b' '; (3 << 20) + 1])
            .await,
    );

    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {root}")).unwrap(),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    recorder.problem("*", &stack.send("sync/pull", &headers, b"{}").await);
}
