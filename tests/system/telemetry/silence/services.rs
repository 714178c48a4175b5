//! Services that quote the request in their errors.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::Reply;
use tidemark_tests::{
    Item, Stack,
    scenario::{self, meter},
    stack::stream_event,
};
use tracing::level_filters::LevelFilter;

use super::{
    CapturedLog, SECRET_TEXT, assert_silent, corruption::poison, day::run_day, secret, values_of,
};
use crate::telemetry::Responder;

/// Returns replies of a service that quote the request in each text of an error, and replies that
/// cannot be decoded.
fn quoting_replies() -> Vec<Reply> {
    let reply = |status, body: Value| Reply {
        status,
        body: body.to_string().into_bytes(),
    };
    let xml = |body: &str| Reply {
        status: 400,
        body: body.as_bytes().to_vec(),
    };

    let message = format!("cannot be converted: {SECRET_TEXT}");
    let item = json!({"payload": {"S": SECRET_TEXT}});
    let reason = json!({"Code": "ValidationError", "Message": message, "Item": item});
    vec![
        Reply::error(400, "ValidationException", &message),
        Reply::error(400, "ItemCollectionSizeLimitExceededException", &message),
        Reply::error(400, "NobodyKnowsThis", &message),
        reply(400, json!({"message": message})),
        reply(
            400,
            json!({"__type": "TransactionCanceledException", "Message": message, "CancellationReasons": [reason, reason]}),
        ),
        reply(
            200,
            json!({"Responses": [{"Error": {"Code": "ValidationError", "Message": message}}], "Items": [SECRET_TEXT], "Item": SECRET_TEXT}),
        ),
        xml(&format!(
            "<ErrorResponse><Error><Code>InvalidParameter</Code><Message>{message}</Message></Error></ErrorResponse>"
        )),
        xml(&format!(
            "<Error><Code>NobodyKnowsThis</Code><Message>{message}</Message></Error>"
        )),
        xml(&format!("<html>{SECRET_TEXT}</html>")),
        Reply {
            status: 200,
            body: format!("{{\"Item\": \"{SECRET_TEXT}\", {SECRET_TEXT}").into_bytes(),
        },
    ]
}

/// Creates an open conflict about the meter `id` and returns its id.
async fn conflicted(stack: &Stack, id: &str) -> String {
    let fields = [
        secret(),
        json!({"reading": 1}),
        json!({"reading": SECRET_TEXT}),
    ];
    scenario::open_conflict(stack, id, fields).await
}

/// Makes every kind of call while a service replies like `hook`. The conflict is open, and the
/// records are both sequenced and published.
async fn call_everything(stack: &Stack, hook: &Arc<Responder>, conflict: &str, records: &[Value]) {
    let down = stack.beside(hook.clone());
    let root = scenario::admin(stack);
    let media = json!(["uploads/acme/ana/x.5.image~jpeg.jpg"]);
    let submission = json!({"form_id": SECRET_TEXT, "data": {}, "media": media});
    let items = json!([
        meter("update", "m-1", 9, secret()),
        Item::create_as("submission", "t-2", submission),
    ]);
    down.device("ana", "phone").push_batch("b-9", &items).await;
    down.post("sync/pull", &root, &json!({"since_token": null}))
        .await;

    for path in [
        "conflicts",
        "audit",
        "devices",
        &format!("conflicts/{conflict}"),
    ] {
        down.get(path, &root).await;
    }

    let decision = json!({"resolution": "manual_merge", "payload": secret(), "note": SECRET_TEXT});
    down.post(&format!("conflicts/{conflict}/resolve"), &root, &decision)
        .await;

    let [changelog, notify] =
        ["changelog", "notify"].map(|function| stack.consumer(function, hook.clone()));
    changelog.sequence(stream_event(records)).await;
    notify.notify(stream_event(records)).await;
}

/// Creates a conflict about the meter `id` and resolves it with a secret note.
async fn resolved(stack: &Stack, id: &str) {
    let root = scenario::admin(stack);
    let conflict = conflicted(stack, id).await;
    let decision = json!({"resolution": "accept_client", "note": SECRET_TEXT});
    stack
        .post(&format!("conflicts/{conflict}/resolve"), &root, &decision)
        .await
        .ok();
}

/// Makes every kind of call while all calls, only transactions, or only `PutItem` calls get a reply
/// that quotes the request.
async fn call_with_quoting_replies(stack: &Stack) {
    let open = conflicted(stack, "m-6").await;
    let poison = poison(stack).await;
    let changes = [poison, stack.stream_records()].concat();
    let decisions = stack.stream_records_of("conflicts");
    for reply in quoting_replies() {
        for hook in [
            Responder::all(reply.clone()),
            Responder::transactions(reply),
        ] {
            call_everything(stack, &hook, &open, &changes).await;
            call_everything(stack, &hook, &open, &decisions).await;
        }
    }

    for reply in quoting_replies() {
        // One of these calls resolves the conflict.
        call_everything(stack, &Responder::puts(reply), &open, &changes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn service_errors_are_not_quoted() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    run_day(&stack).await;
    resolved(&stack, "m-5").await;
    call_with_quoting_replies(&stack).await;
    assert_silent(&written, &[]);

    // Helpful details are logged: the error code and the attempted operation.
    let details = values_of(&written, "detail");
    for (attempt, code) in [
        ("query on audit_log", "NobodyKnowsThis"),
        ("transaction cancelled", "ValidationError"),
        ("put_item on sync_items", "NobodyKnowsThis"),
    ] {
        assert!(
            details
                .iter()
                .any(|detail| detail.contains(attempt) && detail.contains(code)),
            "{details:#?}"
        );
    }

    let messages = values_of(&written, "message");
    for message in [
        "stream record could not be dead-lettered",
        "resolution could not be published",
    ] {
        assert!(messages.contains(message), "{message}: {messages:#?}");
    }
}
