//! Counts calls and the capacity units that they consume.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use serde_json::Value;
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};

/// Duration of a metered call in virtual time. The duration of a request therefore shows how many
/// calls it made in sequence.
pub const ROUND_TRIP: Duration = Duration::from_millis(10);

/// Counts calls and the capacity units that DynamoDB charged for them.
#[derive(Debug, Default)]
pub struct Meter {
    counted: Mutex<CallCounts>,
}

/// The calls and capacity units that a meter counted.
#[derive(Debug, Default, Clone)]
pub struct CallCounts {
    /// Number of calls by operation.
    pub calls: BTreeMap<String, usize>,
    /// Consumed write units by table.
    pub write_units: BTreeMap<String, f64>,
    /// Consumed read units by table.
    pub read_units: BTreeMap<String, f64>,
}

impl Meter {
    /// Returns the counts since the previous call of this method.
    pub fn take(&self) -> CallCounts {
        std::mem::take(&mut self.counted.lock().unwrap())
    }

    fn count(&self, call: &Call<'_>, reply: &Reply) {
        let response: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let mut counted = self.counted.lock().unwrap();
        *counted.calls.entry(call.operation.to_owned()).or_default() += 1;
        let is_read = matches!(call.operation, "GetItem" | "BatchGetItem" | "Query");

        let consumed = match &response["ConsumedCapacity"] {
            Value::Array(tables) => tables.clone(),
            Value::Null => Vec::new(),
            table => vec![table.clone()],
        };

        for table in consumed {
            let name = table["TableName"].as_str().unwrap_or_default().to_owned();
            let units = if is_read {
                &mut counted.read_units
            } else {
                &mut counted.write_units
            };
            *units.entry(name).or_default() += table["CapacityUnits"].as_f64().unwrap_or_default();
        }
    }
}

impl Hook for Meter {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            tokio::time::sleep(ROUND_TRIP).await;
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        self.count(call, reply);
        Box::pin(std::future::ready(CallFate::Continue))
    }
}
