//! Push: the device retries the batch.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidemark::{
    engine::{Engine, http::Hook},
    store::{
        BUCKET,
        client::{StoreClient, s3_client},
    },
};
use tidemark_core::model::token::Token;
use tidemark_tests::{
    Item, Stack, noise,
    scenario::{member_of_north, meter},
};

use super::{CrashScenario, dies_everywhere, dies_twice};

const PHOTO: &[u8] = b"a photo of a water meter";

/// Scenario: Ana's phone pushes a batch.
struct Push {
    catalog: Option<&'static str>,
    batch_id: Option<&'static str>,
    /// Returns what the office and Ana's phone push beforehand.
    before: fn() -> [Value; 2],
    items: fn() -> Value,
    /// Expected statuses of the items, which guard against a scenario without effect.
    statuses: &'static [&'static str],
}

impl CrashScenario for Push {
    type Facts = ();

    fn stack(&self, hook: Arc<dyn Hook>) -> Stack {
        let variables: Vec<_> = self
            .catalog
            .iter()
            .map(|catalog| ("CATALOG", *catalog))
            .collect();
        Stack::configured_over(Engine::memory().expect("an engine"), hook, &variables)
    }

    async fn prepare(&self, stack: &Stack) {
        let [office, ana] = (self.before)();
        for (user, items) in [("ana", ana), ("office", office)]
            .into_iter()
            .filter(|(_, items)| *items != json!([]))
        {
            let results = member_of_north(stack, user).push(items).await;
            assert!(
                results.iter().all(|result| result["status"] == "ok"),
                "{results:?}"
            );
        }
        upload(stack).await;
    }

    async fn act(&self, stack: &Stack, _: Arc<dyn Hook>, (): &()) -> Value {
        let device = member_of_north(stack, "ana");
        let response = match self.batch_id {
            Some(batch_id) => device.push_batch(batch_id, &(self.items)()).await,
            None => device.send(&(self.items)()).await,
        };

        let mut response = response.ok();
        let results = response["results"].as_array_mut().expect("results");
        let statuses: Vec<&str> = results
            .iter()
            .map(|result| result["status"].as_str().expect("a status"))
            .collect();
        assert_eq!(statuses, self.statuses, "{results:?}");

        // The encoded token omits receipts: they contain the time of the response, and a repeated
        // batch has none for a payload that it omits.
        let token =
            Token::decode(response["server_sync_token"].as_str().expect("text")).expect("a token");
        response["server_sync_token"] = token.encode().into();
        response
    }

    fn exempt(&self, place: &str, mut things: Vec<Value>) -> Vec<Value> {
        // Without a batch id of the client, each attempt is stored as a separate batch, whether or
        // not its response arrives.
        let same = match place {
            "table sync_items" => "packed",
            "table sync_batches" => "digest",
            _ => "",
        };
        if self.batch_id.is_none() && !same.is_empty() {
            things.sort_by_key(|row| row[same].to_string());
            things.dedup_by_key(|row| row[same].to_string());
        }

        if place == "response" || place == "table sync_batches" {
            let results = things
                .iter_mut()
                .filter_map(|thing| thing["results"].as_array_mut())
                .flatten();
            results
                .filter_map(Value::as_object_mut)
                .for_each(remove_varying_fields);
        }
        things
    }
}

/// Removes from a result the fields that may be absent when the same item is repeated.
fn remove_varying_fields(result: &mut Map<String, Value>) {
    // Results are stored without payloads: a repeated batch omits the payload that a merge or a
    // policy has produced.
    if result["status"] == "ok" {
        result.retain(|field, _| !field.starts_with("server_payload"));
    }

    // The holder of a value is found by trying the write, and a create that is part of a conflict
    // is not tried again.
    if result
        .get("code")
        .is_some_and(|code| code == "unique_violation")
    {
        result.retain(|field, _| {
            field != "holder_id" && field != "holder_channel" && field != "error"
        });
    }
}

/// Uploads the photo to the location that a device of Ana's uses. The key is fixed instead of
/// presigned, so that every run uses the same one.
async fn upload(stack: &Stack) {
    let client = s3_client(
        StoreClient::new(stack.store.clone()),
        "http://media.localhost",
        "test",
    );
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key(photo().replacen("uploads/", "incoming/", 1))
        .content_type("image/jpeg");
    put.body(PHOTO.to_vec().into())
        .send()
        .await
        .expect("stored");
}

fn photo() -> String {
    format!(
        "uploads/acme/ana/0190163d8694439baea5966c26f8ad91.{}.image~jpeg.jpg",
        PHOTO.len()
    )
}

fn submission(temp_id: &str, media: Value) -> Item {
    let payload = json!({"form_id": "f", "data": {"a": 1.0}, "media": media});
    Item::create_as("submission", temp_id, payload)
}

fn task(action: &str, id: &str, base: u64, fields: Value) -> Item {
    meter(action, id, base, fields)
        .with("resource_type", "task")
        .channel("group/north")
}

/// Returns the edits that precede [`everything`]: they prepare resources to update, to delete and
/// to conflict with, and a unique value that another resource holds.
fn prepared() -> [Value; 2] {
    [
        json!([
            meter("update", "stale", 1, json!({"by": "office"})),
            meter("create", "holder", 0, json!({"code": "H"})),
            task("update", "task", 1, json!({"title": "by the office"}))
        ]),
        json!([
            meter("create", "mine", 0, json!({"by": "ana"})),
            meter("create", "gone", 0, json!({"code": "G"})),
            meter("create", "stale", 0, json!({"by": "ana"})),
            meter("create", "code", 0, json!({"code": "C"})),
            task("create", "task", 0, json!({"title": "t", "note": "n"}))
        ]),
    ]
}

/// Returns a batch with each kind of edit that a push can apply or reject.
fn everything() -> Value {
    json!([
        submission("t-1", json!([])),
        Item::new("submission", "update", 1)
            .base(0)
            .temp_id("t-1")
            .payload(json!({"data": {"b": 2}})),
        meter("update", "mine", 1, json!({"by": "second"})),
        meter("update", "mine", 2, json!({"by": "third"})),
        meter("delete", "gone", 1, json!({})),
        // Two conflicting edits of one resource.
        meter("update", "stale", 1, json!({"by": "mine"})),
        meter("update", "stale", 2, json!({"by": "mine again"})),
        // Unique values: one is freed and taken in the same batch, and one is held by another
        // resource.
        meter("update", "code", 1, json!({"code": "D"})),
        meter("create", "heir", 0, json!({"code": "C"})),
        meter("create", "violates", 0, json!({"code": "H"})),
        // A reference within the batch, and a change that merges with another device's.
        meter("create", "new", 0, json!({"code": "N"})).temp_id("t-meter"),
        task("create", "refers", 0, json!({"meter_id": "t-meter"})),
        task("update", "task", 1, json!({"note": "by ana"})),
        submission("t-2", json!([photo()])),
        // Items that fail with an error.
        meter("update", "missing", 1, json!({"by": "x"})),
        Item::create("task", "south", json!({})).channel("group/south"),
    ])
}

const EVERYTHING: &[&str] = &[
    "ok", "ok", "ok", "ok", "ok", "conflict", "conflict", "ok", "ok", "conflict", "ok", "ok", "ok",
    "ok", "error", "error",
];

fn nothing() -> [Value; 2] {
    [json!([]), json!([])]
}

#[tokio::test(start_paused = true)]
async fn push_of_everything_survives_crashes() {
    let push = Push {
        catalog: None,
        batch_id: Some("b"),
        before: prepared,
        items: everything,
        statuses: EVERYTHING,
    };
    dies_everywhere(&push).await;
}

/// Returns a batch of two items that are applied and two that conflict.
fn some() -> Value {
    json!([
        meter("create", "one", 0, json!({"code": "1"})),
        meter("update", "mine", 1, json!({"by": "second"})),
        meter("update", "stale", 1, json!({"by": "mine"})),
        meter("create", "violates", 0, json!({"code": "H"}))
    ])
}

const SOME: &[&str] = &["ok", "ok", "conflict", "conflict"];

#[tokio::test(start_paused = true)]
async fn push_without_batch_id_survives_crashes() {
    dies_everywhere(&Push {
        catalog: None,
        batch_id: None,
        before: prepared,
        items: some,
        statuses: SOME,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn push_survives_two_crashes() {
    dies_twice(&Push {
        catalog: None,
        batch_id: Some("b"),
        before: prepared,
        items: some,
        statuses: SOME,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn push_with_upload_survives_crashes() {
    fn items() -> Value {
        json!([submission("t-1", json!([photo()]))])
    }
    let push = Push {
        catalog: None,
        batch_id: Some("b"),
        before: nothing,
        items,
        statuses: &["ok"],
    };
    dies_everywhere(&push).await;
}

#[tokio::test(start_paused = true)]
async fn policy_resolution_survives_crashes() {
    fn before() -> [Value; 2] {
        [
            json!([meter("update", "m", 1, json!({"reading": 50, "code": "B"}))]),
            json!([meter("create", "m", 0, json!({"code": "A"}))]),
        ]
    }
    fn items() -> Value {
        json!([
            meter("update", "m", 1, json!({"reading": 42, "code": "C"})),
            meter("create", "n", 0, json!({"code": "D"}))
        ])
    }

    let wins = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\npolicy = 'client_wins'\n\
        [submission]\nchannel = 'user'\nid_prefix = 's'";
    let client = Push {
        catalog: Some(wins),
        batch_id: Some("b"),
        before,
        items,
        statuses: &["ok", "ok"],
    };
    dies_everywhere(&client).await;

    let wins = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\npolicy = 'server_wins'\n\
        [submission]\nchannel = 'user'\nid_prefix = 's'";
    let server = Push {
        catalog: Some(wins),
        statuses: &["conflict", "ok"],
        ..client
    };
    dies_everywhere(&server).await;
}

#[tokio::test(start_paused = true)]
async fn conflict_of_several_rows_survives_crashes() {
    fn before() -> [Value; 2] {
        [
            json!([meter("update", "m", 1, json!({"text": noise(110_000, 1)}))]),
            json!([meter("create", "m", 0, json!({"text": "short"}))]),
        ]
    }
    fn items() -> Value {
        json!([
            meter("update", "m", 1, json!({"text": noise(110_000, 2)})),
            meter("update", "m", 2, json!({"more": noise(2_000, 3)}))
        ])
    }

    dies_everywhere(&Push {
        catalog: None,
        batch_id: Some("b"),
        before,
        items,
        statuses: &["conflict", "conflict"],
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn batch_of_several_chunks_survives_crashes() {
    fn items() -> Value {
        json!([
            meter("create", "m", 0, json!({"text": noise(290_000, 1)})),
            meter("create", "n", 0, json!({"text": noise(290_000, 2)}))
        ])
    }

    let push = Push {
        catalog: None,
        batch_id: Some("b"),
        before: nothing,
        items,
        statuses: &["ok", "ok"],
    };
    assert!(
        dies_everywhere(&push).await >= 5,
        "two chunks, two rows, the results"
    );
}
