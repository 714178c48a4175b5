//! Acknowledgements, §4.8 of the protocol: what they record, and which are rejected.

mod order;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_core::model::{channel::Channel, limits::GROUPS_MAX, token::Token};
use tidemark_tests::{
    ApiResponse, Device, Item, Meter, Script, Stack, hooks::Moment, scenario::member_of_north,
};

fn create(id: &str, channel: &str) -> Item {
    Item::create("task", id, json!({"title": id})).channel(channel)
}

/// Writes a resource in each of these channels, lets `device` pull, and returns its sync token.
async fn pulled(stack: &Stack, device: &mut Device<'_>, name: &str, channels: &[&str]) -> String {
    let writer = Device::new(
        stack,
        stack.token("acme", "writer", &["admin"], &[]),
        "server",
    );
    for channel in channels {
        assert_eq!(writer.push_one(create(name, channel)).await["status"], "ok");
    }
    stack.settle().await;
    stack.advance(chrono::Duration::seconds(10));
    device.pull().await;
    device.since().as_str().expect("a token").to_owned()
}

async fn ack(device: &Device<'_>, stack: &Stack, token: &str) -> ApiResponse {
    let body = json!({"ack_token": token, "device_id": device.device_id});
    stack.post("sync/ack", &device.token, &body).await
}

/// Returns what the device has acknowledged: the encoded position by channel.
fn positions(stack: &Stack) -> BTreeMap<String, String> {
    let rows = stack.rows("devices");
    assert!(rows.len() < 2, "only one device acknowledges");
    let row = rows
        .first()
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let position = |(name, value): (String, Value)| {
        Some((
            name.strip_prefix("channel:")?.to_owned(),
            value["S"].as_str()?.to_owned(),
        ))
    };
    row.into_iter().filter_map(position).collect()
}

#[tokio::test]
async fn ack_records_all_channels_in_one_write() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone());
    let mut ana = member_of_north(&stack, "ana");
    let token = pulled(&stack, &mut ana, "a", &["tenant", "group/north"]).await;

    meter.take();
    let response = ack(&ana, &stack, &token).await.ok();

    assert_eq!(
        meter.take().calls,
        BTreeMap::from([("UpdateItem".to_owned(), 1)])
    );
    assert_eq!(response["device_id"], "phone");
    assert_eq!(
        response["channels"],
        json!(["tenant", "user/ana", "group/north"])
    );
    assert_eq!(
        response["acknowledged_at"],
        tidemark_core::model::time::timestamp(stack.now())
    );
    assert_eq!(
        positions(&stack).into_keys().collect::<Vec<_>>(),
        ["group/north", "tenant", "user/ana"]
    );
}

#[tokio::test]
async fn forged_token_records_only_pulled_channels() {
    let stack = Stack::new();
    let mut admin = Device::new(
        &stack,
        stack.token("acme", "ana", &["admin"], &["north"]),
        "phone",
    );
    let token =
        Token::decode(&pulled(&stack, &mut admin, "a", &["tenant"]).await).expect("a token");

    let mut forged = token.clone();
    let progress = token.channels[&Channel::Tenant].clone();
    let strangers = (0..1000)
        .map(|number| Channel::Group(format!("stranger-{number}")))
        .chain([Channel::User("ben".into())]);
    forged
        .channels
        .extend(strangers.map(|channel| (channel, progress.clone())));

    let response = ack(&admin, &stack, &forged.encode()).await.ok();
    assert_eq!(
        response["channels"],
        json!(["tenant", "user/ana", "group/north"])
    );
    assert_eq!(
        positions(&stack).into_keys().collect::<Vec<_>>(),
        ["group/north", "tenant", "user/ana"]
    );
}

#[tokio::test]
async fn ack_of_maximum_channels_fits_dynamodb_limits() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = seen.clone();
    let stack = Stack::hooked(Arc::new(Script::new(move |_, operation, body, moment| {
        if operation == "UpdateItem" && moment == Moment::Before {
            noted.lock().expect("a lock").push(body.to_owned());
        }
        CallFate::Continue
    })));

    let groups: Vec<String> = (0..GROUPS_MAX)
        .map(|number| format!("{number}-{}", "g".repeat(250)))
        .collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut ana = Device::new(&stack, stack.token("acme", "ana", &[], &groups), "phone");

    ana.pull().await;
    assert_eq!(
        ana.ack().await.ok()["channels"].as_array().map(Vec::len),
        Some(102)
    );
    assert_eq!(positions(&stack).len(), 102);

    assert_within_dynamodb_limits(&seen.lock().expect("a lock")[0]);
}

/// Checks the lengths and the operators of the expressions in an `UpdateItem` request: at most
/// 4 KiB for each expression, and 300 operators.
fn assert_within_dynamodb_limits(request: &str) {
    let request: Value = serde_json::from_str(request).expect("a request");
    let (update, condition) = (
        request["UpdateExpression"].as_str(),
        request["ConditionExpression"].as_str(),
    );
    let (update, condition) = (update.expect("an update"), condition.expect("a condition"));
    assert!(
        update.len() < 4096 && condition.len() < 4096,
        "{} and {}",
        update.len(),
        condition.len()
    );
    assert!(
        update.matches('=').count() < 300
            && condition.matches('>').count() + condition.matches(['O', 'N']).count() < 300
    );
}

#[tokio::test]
async fn channel_with_unfinished_snapshot_is_not_acknowledged() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    let writer = Device::new(
        &stack,
        stack.token("acme", "writer", &["admin"], &[]),
        "server",
    );

    let items: Vec<Item> = (0..5)
        .map(|number| create(&format!("t-{number}"), "group/north"))
        .collect();
    writer.push(items.into()).await;
    stack.settle().await;

    let page = ana.pull_page(2).await;
    assert_eq!(page["has_more"], true);
    let response = ana.ack().await.ok();
    assert_eq!(
        response["channels"]
            .as_array()
            .map(|channels| channels.contains(&json!("group/north"))),
        Some(false)
    );
    assert!(!positions(&stack).contains_key("group/north"));

    ana.pull_and_ack().await;
    assert!(positions(&stack).contains_key("group/north"));
}

/// Returns invalid bodies of an acknowledgement, each with the code and the path of the problem.
fn invalid_acks(token: &str) -> [(Value, &'static str, &'static str); 10] {
    let damaged = format!("{}A", &token[..token.len() - 1]);
    let long = "x".repeat(257);

    [
        (
            json!({"ack_token": damaged, "device_id": "phone"}),
            "invalid_token",
            "ack_token",
        ),
        (
            json!({"ack_token": "tok_1", "device_id": "phone"}),
            "invalid_token",
            "ack_token",
        ),
        (
            json!({"ack_token": null, "device_id": "phone"}),
            "invalid_request",
            "ack_token",
        ),
        (json!({"device_id": "phone"}), "invalid_request", "$"),
        (json!({"ack_token": token}), "invalid_request", "$"),
        (
            json!({"ack_token": token, "device_id": ""}),
            "invalid_request",
            "device_id",
        ),
        (
            json!({"ack_token": token, "device_id": long}),
            "invalid_request",
            "device_id",
        ),
        (
            json!({"ack_token": token, "device_id": "phone", "app_version": ""}),
            "invalid_request",
            "app_version",
        ),
        (
            json!({"ack_token": token, "device_id": "phone", "app_version": 3}),
            "invalid_request",
            "app_version",
        ),
        (json!([token, "phone"]), "invalid_request", "$"),
    ]
}

#[tokio::test]
async fn invalid_ack_is_rejected_with_its_path() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    let token = pulled(&stack, &mut ana, "a", &["tenant"]).await;
    for (body, code, path) in invalid_acks(&token) {
        let response = stack.post("sync/ack", &ana.token, &body).await;
        let problem = response.json();
        assert_eq!(
            (response.status, &problem["code"], &problem["path"]),
            (400, &json!(code), &json!(path)),
            "{body}"
        );
    }

    assert_eq!(stack.post_bytes("sync/ack", None, b"{}").await.status, 401);
    assert_eq!(stack.rows("devices"), [json!(null); 0]);
}

#[tokio::test]
async fn ack_applies_only_to_the_callers_device() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    pulled(&stack, &mut ana, "a", &["tenant"]).await;
    ana.ack().await.ok();
    let before = stack.rows("devices");

    let ben = Device::new(&stack, stack.token("acme", "ben", &[], &[]), "phone");
    ack(&ben, &stack, ana.since().as_str().expect("a token"))
        .await
        .ok();
    let stranger = Device::new(&stack, stack.token("umbrella", "ana", &[], &[]), "phone");
    ack(&stranger, &stack, ana.since().as_str().expect("a token"))
        .await
        .ok();

    let rows = stack.rows("devices");
    assert_eq!(rows.len(), 3);
    assert!(rows.contains(&before[0]));
}
