//! An in-memory deployment whose calls are counted: capacity units as the engine reports them to
//! the SDK, calls, and sequential round trips.

use std::sync::Arc;

use super::amount::{Cost, PushCost};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tidemark_aws::tables::format::pack;
use tidemark_tests::{Device, Meter, Stack, hooks::ROUND_TRIP, stack::stream_event};
use tokio::time::Instant;

/// Maximum bytes of packed text in a row of the baseline; DynamoDB's limit is 400 KB.
const ROW_BYTES_MAX: usize = 390_000;

/// A deployment and the meter that counts its calls.
pub struct Counting {
    /// The deployment. Its virtual time advances only during the calls of its functions.
    pub stack: Stack,
    meter: Arc<Meter>,
}

impl Default for Counting {
    fn default() -> Self {
        let meter = Arc::new(Meter::default());
        Self {
            stack: Stack::hooked(meter.clone()),
            meter,
        }
    }
}

impl Counting {
    /// Counts the calls of `work`. Must run in a runtime with paused time, where each call takes
    /// [`ROUND_TRIP`].
    pub async fn count<T>(&self, work: impl Future<Output = T>) -> (Cost, T) {
        self.meter.take();
        let began = Instant::now();
        let done = work.await;
        let round_trips = (began.elapsed().as_millis() / ROUND_TRIP.as_millis()) as f64;
        (Cost::of(&self.meter.take(), round_trips), done)
    }

    /// Pushes items, all of whose results must satisfy `is_good`, and sequences them. Returns the
    /// cost and the results.
    pub async fn push(
        &self,
        device: &Device<'_>,
        items: Vec<Value>,
        is_good: fn(&Value) -> bool,
    ) -> (PushCost, Vec<Value>) {
        let (push, results) = self.count(device.push(items.into())).await;
        assert!(results.iter().all(is_good), "{results:?}");
        (
            PushCost {
                push,
                sequence: self.sequence().await,
            },
            results,
        )
    }

    /// Sequences all stream records through the changelog function and returns the cost.
    async fn sequence(&self) -> Cost {
        let changelog = self.stack.consumer("changelog", self.meter.clone());
        let event = stream_event(&self.stack.stream_records());
        let (cost, response) = self.count(changelog.sequence(event)).await;
        assert!(response.batch_item_failures.is_empty());
        self.stack.settle().await;
        cost
    }

    /// Returns the write units of a row with only this payload, which is the minimum for storing an
    /// item.
    pub fn baseline_of_write(&self, payload: &str) -> f64 {
        self.units(
            "PutItem",
            json!({"Item": {"pk": {"S": "bench"}, "sk": {"S": "row"}, "payload": {"S": payload}}}),
        )
    }

    /// Returns the read units of one eventually consistent read of these payloads, packed into as
    /// few rows as possible, which is the minimum for reading a page.
    pub fn baseline_of_read(&self, payloads: &[String]) -> f64 {
        let packed = pack(payloads.concat().as_bytes());
        let parts = packed
            .chunks(ROW_BYTES_MAX)
            .enumerate()
            .map(|(number, part)| {
                let key = json!({"pk": {"S": "bench"}, "sk": {"S": number.to_string()}});
                let mut item = key.clone();
                item["packed"] = json!({"B": BASE64_STANDARD.encode(part)});
                self.units("PutItem", json!({"Item": item}));
                self.units("GetItem", json!({"Key": key}))
            });
        parts.sum()
    }

    /// Returns the units of a call to a table that no function uses here.
    fn units(&self, operation: &str, mut request: Value) -> f64 {
        request["TableName"] = "submission_media".into();
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        self.stack.dynamodb(operation, &request)["ConsumedCapacity"]["CapacityUnits"]
            .as_f64()
            .unwrap()
    }
}
