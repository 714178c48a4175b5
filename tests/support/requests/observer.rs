//! A hook that counts the traffic of a function's calls.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};

/// The traffic since the last [`TrafficCounter::take`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of calls to DynamoDB and S3.
    pub calls: usize,
    /// Number of rows that DynamoDB returned, and of S3 objects that were read or looked up.
    pub rows: usize,
    /// Bytes of the calls and of their responses.
    pub bytes: usize,
}

/// Counts calls, returned rows and transferred bytes.
#[derive(Debug, Default)]
pub struct TrafficCounter(Mutex<Traffic>);

impl TrafficCounter {
    /// Returns the traffic since the previous call of this method.
    pub fn take(&self) -> Traffic {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Hook for TrafficCounter {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let mut traffic = self.0.lock().unwrap();
        traffic.calls += 1;
        traffic.rows += usize::from(matches!(call.operation, "HeadObject" | "GetObject"));
        traffic.bytes += call.body.len();
        Box::pin(std::future::ready(CallFate::Continue))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        let mut traffic = self.0.lock().unwrap();
        traffic.rows += rows(&reply.body);
        traffic.bytes += reply.body.len();
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

/// Returns the number of rows in a response of DynamoDB to a read.
fn rows(body: &[u8]) -> usize {
    let response: Value = serde_json::from_slice(body).unwrap_or_default();
    let list = |value: &Value| value.as_array().map_or(0, Vec::len);
    let tables = response["Responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, rows)| list(rows))
        .sum::<usize>();
    list(&response["Items"]) + usize::from(response["Item"].is_object()) + tables
}

/// Two nested hooks: the second hook runs between the two sides of the first.
pub struct NestedHooks(pub Arc<dyn Hook>, pub Arc<dyn Hook>);

impl Hook for NestedHooks {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async move {
            match self.0.before(call).await {
                CallFate::Continue => self.1.before(call).await,
                other => other,
            }
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(async move {
            let inner = self.1.after(call, reply).await;
            match self.0.after(call, reply).await {
                CallFate::Continue => inner,
                other => other,
            }
        })
    }
}
