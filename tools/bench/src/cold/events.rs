//! Creates an event for each function that makes it do its work.

use serde_json::{Value, json};
use tidemark_core::model::token::Token;
use tidemark_tests::Stack;

use crate::workload;

/// Returns the first event for a function.
pub async fn first(stack: &Stack, function: &str) -> String {
    let device = stack.device("ana", "phone");
    let made = device
        .push_one(workload::create(0, workload::form(0, 0, 300)))
        .await;

    let records = stack.stream_records();
    stack.settle().await;
    let (user, admin) = (
        device.token.clone(),
        stack.token("acme", "boss", &["admin"], &[]),
    );

    let event = |method: &str, path: &str, token: &str, body: Value| {
        stack.event(method, path, token, &body)
    };

    match function {
        "ack" => {
            let body = json!({"ack_token": Token::default().encode(), "device_id": "phone"});
            event("POST", "sync/ack", &user, body)
        }
        "admin" => event("GET", "conflicts", &admin, Value::Null),
        "batches" => event("GET", "batches/none", &admin, Value::Null),
        "changelog" => json!({"Records": records}),
        "console" => console(stack),
        "notify" => json!({"Records": []}),
        "presign" => {
            let body = json!({"filename": "meter.jpg", "content_type": "image/jpeg", "content_length": 1000});
            event("POST", "media/presign", &user, body)
        }
        "pull" => event("POST", "sync/pull", &user, json!({"since_token": null, "device_id": "tablet", "limit": 100})),
        "resolve" => event("POST", "conflicts/none/resolve", &admin, json!({"resolution": "accept_server"})),
        _ => push(stack, &user, &[workload::update(&made["server_id"], 1, workload::form(0, 1, 300))]),
    }
    .to_string()
}

/// Returns the event of a push of these items.
pub fn push(stack: &Stack, token: &str, items: &[Value]) -> Value {
    stack.event(
        "POST",
        "sync/push",
        token,
        &json!({"device_id": "phone", "client_sync_token": null, "items": items}),
    )
}

/// Returns the event of a request for a page of the console.
fn console(stack: &Stack) -> Value {
    stack.console_event("GET", "help", &Default::default(), b"")
}
