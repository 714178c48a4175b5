//! Acknowledging, §4.8 of the protocol.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_core::{channel::Channel, limits::GROUPS_MAX, token::Token};
use tidemark_tests::{
    ApiResponse, Device, Meter, Script, Stack,
    hooks::{Gate, Moment},
};

fn create(id: &str, channel: &str) -> Value {
    json!({"resource_type": "task", "action": "create", "client_version": 0, "channel": channel, "payload": {"id": id, "title": id}})
}

/// Ana, who belongs to the group north, and pulls three channels.
fn ana(stack: &Stack) -> Device<'_> {
    Device::new(stack, stack.token("acme", "ana", &[], &["north"]), "phone")
}

/// Makes a change in each of these channels and has `device` pull it; gives its token then.
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
    device.since.as_str().expect("a token").to_owned()
}

async fn ack(device: &Device<'_>, stack: &Stack, token: &str) -> ApiResponse {
    let body = json!({"ack_token": token, "device_id": device.device_id});
    stack.post("sync/ack", &device.token, &body).await
}

/// What a device has acknowledged: the text of each position by channel.
fn positions(stack: &Stack) -> BTreeMap<String, String> {
    let rows = stack.rows("devices");
    assert!(rows.len() < 2, "one device acknowledges here");
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

/// Positions without the moments they are known since.
fn places(positions: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    positions
        .iter()
        .filter_map(|(channel, position)| Some((channel.as_str(), position.split_once('@')?.0)))
        .collect()
}

/// A token with the progress of the one in some channels, and of the other in the rest.
fn mixed(one: &str, other: &str, of_one: &[Channel]) -> String {
    let (one, mut mixed) = (
        Token::decode(one).expect("a token"),
        Token::decode(other).expect("a token"),
    );
    mixed.channels.extend(
        one.channels
            .into_iter()
            .filter(|(channel, _)| of_one.contains(channel)),
    );
    mixed.encode()
}

#[tokio::test]
async fn an_ack_records_every_channel_of_its_token_in_one_write() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone());
    let mut ana = ana(&stack);
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
        tidemark_core::protocol::timestamp(stack.now())
    );
    assert_eq!(
        positions(&stack).into_keys().collect::<Vec<_>>(),
        ["group/north", "tenant", "user/ana"]
    );
}

#[tokio::test]
async fn an_ack_late_twice_or_out_of_order_moves_no_channel_back() {
    let stack = Stack::new();
    let mut ana = ana(&stack);
    let first = pulled(&stack, &mut ana, "a", &["tenant"]).await;
    let second = pulled(&stack, &mut ana, "b", &["tenant", "group/north"]).await;
    let third = pulled(&stack, &mut ana, "c", &["user/ana"]).await;
    ack(&ana, &stack, &first).await.ok();
    let after_first = positions(&stack);
    ack(&ana, &stack, &third).await.ok();
    let newest = positions(&stack);
    assert!(
        newest
            .iter()
            .all(|(channel, position)| *position > after_first[channel])
    );
    for late in [&second, &first, &third, &third] {
        ack(&ana, &stack, late).await.ok();
        assert_eq!(positions(&stack), newest);
    }
    // One that is behind in a channel and ahead in another moves only the other.
    let fourth = pulled(&stack, &mut ana, "d", &["tenant", "group/north"]).await;
    ack(&ana, &stack, &mixed(&fourth, &first, &[Channel::Tenant]))
        .await
        .ok();
    let moved = positions(&stack);
    assert!(moved["tenant"] > newest["tenant"]);
    assert_eq!(
        (&moved["group/north"], &moved["user/ana"]),
        (&newest["group/north"], &newest["user/ana"])
    );
    // A token that lacks a channel takes nothing from it.
    let without = Token {
        channels: Token::decode(&fourth)
            .expect("a token")
            .channels
            .into_iter()
            .take(1)
            .collect(),
    };
    ack(&ana, &stack, &without.encode()).await.ok();
    assert_eq!(positions(&stack), moved);
}

#[tokio::test]
async fn acks_in_any_order_end_at_the_maximum_of_each_channel() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let stack = Stack::new();
        let mut ana = ana(&stack);
        let first = pulled(&stack, &mut ana, "a", &["tenant"]).await;
        let second = pulled(&stack, &mut ana, "b", &["tenant", "group/north"]).await;
        let third = pulled(&stack, &mut ana, "c", &["user/ana"]).await;
        let tokens = [
            mixed(&third, &first, &[Channel::User("ana".into())]),
            mixed(&second, &first, &[Channel::Tenant]),
            mixed(&third, &second, &[Channel::Group("north".into())]),
            first,
        ];
        for token in order {
            ack(&ana, &stack, &tokens[token]).await.ok();
        }
        let held = positions(&stack);
        ack(&ana, &stack, &third).await.ok();
        assert_eq!(
            places(&held),
            places(&positions(&stack)),
            "{order:?}: between them they have all of the third"
        );
    }
}

#[tokio::test]
async fn an_ack_that_others_overtake_at_any_moment_moves_nothing_back() {
    let gate = Arc::new(Gate::new(|call| call.operation == "UpdateItem"));
    let stack = Stack::new();
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    let mut ana = ana(&stack);
    let first = pulled(&stack, &mut ana, "a", &["tenant"]).await;
    let second = pulled(&stack, &mut ana, "b", &["tenant", "group/north"]).await;
    let third = pulled(&stack, &mut ana, "c", &["user/ana"]).await;
    // Held up, it is ahead of the first in one channel and behind the third in all others.
    let held_up = mixed(&third, &first, &[Channel::User("ana".into())]);
    let others = async {
        gate.reached().await;
        for token in [&first, &second] {
            ack(&ana, &stack, token).await.ok();
        }
        gate.open();
    };
    let (response, ()) = tokio::join!(ack(&ana, &slow, &held_up), others);
    response.ok();
    let held = positions(&stack);
    ack(&ana, &stack, &third).await.ok();
    assert_eq!(
        places(&held),
        places(&positions(&stack)),
        "the second and what was held up have all of the third"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_racing_each_other_end_at_the_maximum_of_each_channel() {
    let stack = Stack::new();
    let mut ana = ana(&stack);
    let mut tokens = Vec::new();
    for (number, channel) in [
        "tenant",
        "group/north",
        "user/ana",
        "tenant",
        "group/north",
        "user/ana",
    ]
    .into_iter()
    .enumerate()
    {
        tokens.push(pulled(&stack, &mut ana, &format!("r-{number}"), &[channel]).await);
    }
    let last = tokens[5].clone();
    let races = tokens
        .iter()
        .flat_map(|one| tokens.iter().map(move |other| (one, other)));
    let races: Vec<String> = races
        .map(|(one, other)| mixed(one, other, &[Channel::Tenant]))
        .collect();
    let responses =
        futures_util::future::join_all(races.iter().map(|token| ack(&ana, &stack, token))).await;
    assert!(responses.iter().all(|response| response.status == 200));
    let raced = positions(&stack);
    ack(&ana, &stack, &last).await.ok();
    assert_eq!(raced, positions(&stack));
}

#[tokio::test]
async fn a_made_up_token_records_only_the_channels_the_caller_pulls() {
    let stack = Stack::new();
    let mut admin = Device::new(
        &stack,
        stack.token("acme", "ana", &["admin"], &["north"]),
        "phone",
    );
    let token =
        Token::decode(&pulled(&stack, &mut admin, "a", &["tenant"]).await).expect("a token");
    let mut made_up = token.clone();
    let progress = token.channels[&Channel::Tenant].clone();
    let strangers = (0..1000)
        .map(|number| Channel::Group(format!("stranger-{number}")))
        .chain([Channel::User("ben".into())]);
    made_up
        .channels
        .extend(strangers.map(|channel| (channel, progress.clone())));
    let response = ack(&admin, &stack, &made_up.encode()).await.ok();
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
async fn an_ack_of_as_many_channels_as_there_can_be_stays_within_dynamodbs_bounds() {
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
    let request: Value = serde_json::from_str(&seen.lock().expect("a lock")[0]).expect("a request");
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
async fn a_channel_in_the_middle_of_its_snapshot_is_not_acknowledged() {
    let stack = Stack::new();
    let mut ana = ana(&stack);
    let writer = Device::new(
        &stack,
        stack.token("acme", "writer", &["admin"], &[]),
        "server",
    );
    let items: Vec<Value> = (0..5)
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
    ana.pull().await;
    ana.ack().await.ok();
    assert!(positions(&stack).contains_key("group/north"));
}

#[tokio::test]
async fn bad_acks_are_told_where_they_are_wrong_and_record_nothing() {
    let stack = Stack::new();
    let mut ana = ana(&stack);
    let token = pulled(&stack, &mut ana, "a", &["tenant"]).await;
    let damaged = format!("{}A", &token[..token.len() - 1]);
    let long = "x".repeat(257);
    for (body, code, path) in [
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
    ] {
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
async fn an_ack_for_another_users_device_is_for_the_callers_own_of_that_name() {
    let stack = Stack::new();
    let mut ana = ana(&stack);
    pulled(&stack, &mut ana, "a", &["tenant"]).await;
    ana.ack().await.ok();
    let before = stack.rows("devices");
    let ben = Device::new(&stack, stack.token("acme", "ben", &[], &[]), "phone");
    ack(&ben, &stack, ana.since.as_str().expect("a token"))
        .await
        .ok();
    let stranger = Device::new(&stack, stack.token("umbrella", "ana", &[], &[]), "phone");
    ack(&stranger, &stack, ana.since.as_str().expect("a token"))
        .await
        .ok();
    let rows = stack.rows("devices");
    assert_eq!(rows.len(), 3);
    assert!(rows.contains(&before[0]));
}
