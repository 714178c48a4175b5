//! The pages of conflicts: the list, the resolution of one conflict and of several, and today. The
//! forms are read from the pages and sent as a browser without scripts sends them.

mod bulk;
mod decisions;
mod form;
mod list;
mod merge;
mod stale;

use serde_json::Value;
use tidemark_tests::{ApiResponse, Stack, scenario};

use super::browser::{Browser, location};
use form::Form;

/// Pushes items, each as its JSON text, from a device. Returns the results.
async fn push(stack: &Stack, user: &str, items: &[String]) -> Vec<Value> {
    let items = items.join(",");
    let body =
        format!(r#"{{"device_id":"{user}-phone","client_sync_token":null,"items":[{items}]}}"#);
    let token = stack.token("acme", user, &[], &["north"]);
    let response = stack
        .post_bytes("sync/push", Some(&token), body.as_bytes())
        .await
        .ok();
    response["results"].as_array().unwrap().clone()
}

/// Returns the text of an edit of a meter that is made on this version. The fields are the text of
/// an object that is not empty.
fn edit(action: &str, id: &str, version: u64, fields: &str) -> String {
    let fields = fields.trim_start_matches('{');
    format!(
        r#"{{"resource_type":"meter","action":"{action}","client_version":{version},
        "base_version":{version},"payload":{{"id":"{id}",{fields}}}"#
    )
}

/// Opens a conflict about a meter: its first version, the office's patch, and Ana's patch of the
/// first version. The base is in the log. Returns the id of the conflict.
async fn conflicted(stack: &Stack, id: &str, [base, server, device]: [&str; 3]) -> String {
    push(stack, "office", &[edit("create", id, 0, base)]).await;
    push(stack, "office", &[edit("update", id, 1, server)]).await;
    let results = push(stack, "ana", &[edit("update", id, 1, device)]).await;
    stack.settle().await;
    conflict_of(&results[0])
}

fn conflict_of(result: &Value) -> String {
    assert_eq!(result["status"], "conflict", "{result}");
    result["conflict_id"].as_str().unwrap().to_owned()
}

/// Returns the version and the payload of a stored meter.
fn stored(stack: &Stack, id: &str) -> (u64, String) {
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == format!("meter#{id}"))
        .unwrap();
    let version = row["server_version"]["N"].as_str().unwrap();
    (version.parse().unwrap(), stack.payload_of(&row))
}

/// Opens a conflict, and returns the form of its page.
async fn open(browser: &mut Browser<'_>, id: &str) -> Form {
    let page = browser
        .get(&format!("conflicts/{id}?list=user%3Dana"))
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    Form::of(&page.text)
}

/// Sends a form with one of its buttons.
async fn send(browser: &mut Browser<'_>, form: &Form, button: &str) -> ApiResponse {
    browser.post(&form.path(), &form.encoded(button)).await
}

/// Sends a form that must be accepted.
async fn store(browser: &mut Browser<'_>, form: &Form) {
    let response = send(browser, form, "store").await;
    assert!(location(&response).ends_with("?list=user%3Dana"));
}

/// Returns the outcome of a conflict as the API shows it.
async fn outcome(stack: &Stack, id: &str) -> Value {
    scenario::conflict(stack, &id.into()).await["outcome"].clone()
}

fn admin(stack: &Stack) -> Browser<'_> {
    Browser::signed_in(stack, &["admin"])
}
