//! Ack: the device retries the acknowledgement.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::Hook;
use tidemark_core::model::{channel::Channel, token::Token};
use tidemark_tests::{Device, Item, Stack, scenario::member_of_north};

use super::{CrashScenario, dies_everywhere, dies_twice};

/// Ana's phone acknowledges a token that is ahead in one channel and behind in another, which takes
/// two writes.
struct Ack;

/// Writes a task into each of these channels, lets the device pull, and returns its token.
async fn pulled(stack: &Stack, device: &mut Device<'_>, name: &str, channels: &[&str]) -> String {
    let writer = Device::new(
        stack,
        stack.token("acme", "writer", &["admin"], &[]),
        "server",
    );
    for channel in channels {
        let task = Item::create("task", name, json!({"title": name})).channel(channel);
        assert_eq!(writer.push_one(task).await["status"], "ok");
    }
    stack.settle().await;
    device.pull().await;
    device.since().as_str().expect("a token").to_owned()
}

async fn acknowledged(stack: &Stack, token: &str) -> Value {
    let ana = stack.token("acme", "ana", &[], &["north"]);
    stack
        .post(
            "sync/ack",
            &ana,
            &json!({"ack_token": token, "device_id": "phone", "app_version": "1.2"}),
        )
        .await
        .ok()
}

impl CrashScenario for Ack {
    type Facts = String;

    async fn prepare(&self, stack: &Stack) -> String {
        let mut ana = member_of_north(stack, "ana");
        let first = pulled(stack, &mut ana, "a", &["tenant"]).await;
        let second = pulled(stack, &mut ana, "b", &["group/north"]).await;
        let third = pulled(stack, &mut ana, "c", &["tenant"]).await;
        acknowledged(stack, &second).await;

        let (first, mut mixed) = (
            Token::decode(&first).expect("a token"),
            Token::decode(&third).expect("a token"),
        );
        mixed.channels.extend(
            first
                .channels
                .into_iter()
                .filter(|(channel, _)| *channel != Channel::Tenant),
        );
        mixed.encode()
    }

    async fn act(&self, stack: &Stack, _: Arc<dyn Hook>, token: &String) -> Value {
        acknowledged(stack, token).await
    }

    fn exempt(&self, place: &str, mut things: Vec<Value>) -> Vec<Value> {
        // Positions derive from the machine's time, so only their order is compared.
        if place == "table devices" {
            for row in &mut things {
                let channels = row.as_object_mut().expect("a row").iter_mut();
                let channels: Vec<_> = channels
                    .filter(|(name, _)| name.starts_with("channel:"))
                    .map(|(_, value)| value)
                    .collect();

                let mut positions: Vec<_> =
                    channels.iter().map(|value| value["S"].clone()).collect();
                positions.sort_by_key(Value::to_string);

                for value in channels {
                    let rank = positions
                        .iter()
                        .position(|position| *position == value["S"]);
                    let since = value["S"]
                        .as_str()
                        .and_then(|text| text.split_once('@'))
                        .expect("a position")
                        .1
                        .to_owned();
                    *value = json!([rank, since]);
                }
            }
        }
        things
    }
}

#[tokio::test(start_paused = true)]
async fn crashed_ack_is_finished_by_a_retry() {
    assert_eq!(dies_everywhere(&Ack).await, 2, "two writes");
    dies_twice(&Ack).await;
}
