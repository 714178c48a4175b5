//! Notifications: the stream delivers the same records again.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::Hook;
use tidemark_tests::{
    Stack,
    scenario::{self, meter},
    stack::stream_event,
};

use super::{CrashScenario, dies_everywhere, numbered};

/// Scenario: two resolutions are published, and one record cannot be decoded.
struct Publishing;

impl CrashScenario for Publishing {
    type Facts = Vec<Value>;

    async fn prepare(&self, stack: &Stack) -> Vec<Value> {
        let (office, ana) = (stack.device("office", "pc"), stack.device("ana", "phone"));
        for id in ["m-1", "m-2"] {
            office
                .push(json!([
                    meter("create", id, 0, json!({"by": "office"})),
                    meter("update", id, 1, json!({"by": "office again"}))
                ]))
                .await;
            let stale = meter("update", id, 1, json!({"by": "ana"}));
            let conflict = ana.push_one(stale).await["conflict_id"].clone();
            let decision = json!({"resolution": "accept_client"});
            scenario::resolve(stack, &conflict, &decision).await.ok();
        }

        let mut records = numbered(stack.stream_records_of("conflicts"));
        records[0]["eventName"] = "MODIFY".into();
        records[0]["dynamodb"]["NewImage"]["status"] = json!({"S": "resolved"}); // without an outcome
        records
    }

    async fn act(&self, stack: &Stack, hook: Arc<dyn Hook>, records: &Vec<Value>) -> Value {
        let notify = stack.consumer("notify", hook);
        let response = notify.notify(stream_event(records)).await;
        assert!(response.batch_item_failures.is_empty());
        let reasons: Vec<_> = stack
            .dead_letters()
            .await
            .into_values()
            .map(|object| object["reason"].clone())
            .collect();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(stack.topic.published().len() >= 2);
        Value::Null
    }

    fn is_sequenced(&self) -> bool {
        false
    }

    fn exempt(&self, place: &str, mut things: Vec<Value>) -> Vec<Value> {
        // A message is published at least once, and a repeated message is identical.
        if place == "topic" {
            things.sort_by_key(Value::to_string);
            things.dedup();
        }
        things
    }
}

#[tokio::test(start_paused = true)]
async fn resolutions_are_published_despite_crashes() {
    assert!(
        dies_everywhere(&Publishing).await >= 3,
        "one is dead-lettered and two are published"
    );
}
