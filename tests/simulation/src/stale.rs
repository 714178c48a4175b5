//! Stale reads: an eventually consistent read may return an earlier state of a row. The engine has
//! no such reads, so earlier results are stored and returned again.

use std::{collections::HashMap, sync::Mutex};

use serde_json::Value;
use tidemark::engine::{Reply, http::Call};

use crate::faults::{Fault, Invocation};

/// The results of earlier reads of each row, oldest first, by table and key.
#[derive(Default)]
pub(crate) struct Stale(Mutex<HashMap<String, Vec<Value>>>);

impl Stale {
    /// Returns the response to a stale read, if the fault is injected: earlier states of the rows,
    /// without rows that did not exist yet.
    pub(crate) fn seen(
        &self,
        invocation: &Invocation,
        call: &Call<'_>,
        response: &Reply,
    ) -> Option<Reply> {
        if call.operation != "BatchGetItem" || response.status != 200 {
            return None;
        }

        let request: Value = serde_json::from_slice(call.body).unwrap();
        let mut body: Value = serde_json::from_slice(&response.body).unwrap();
        let mut past = self.0.lock().unwrap();
        let mut is_other = false;

        for (table, rows) in body["Responses"].as_object_mut()? {
            let rows = rows.as_array_mut()?;
            rows.sort_by_key(|row| row["sk"].to_string()); // the functions' order is not deterministic
            let is_stale = request["RequestItems"][table]["ConsistentRead"] != true
                && invocation.strikes(Fault::StaleRead);
            rows.retain_mut(|row| {
                let past = past
                    .entry(format!("{table} {} {}", row["pk"], row["sk"]))
                    .or_default();
                let shown = if is_stale {
                    usize::try_from(invocation.below(past.len() as u64 + 2)).unwrap()
                } else {
                    past.len()
                };
                if past.last() != Some(row) {
                    past.push(row.clone());
                }
                is_other |= is_stale;
                // An index beyond the stored states means that the row did not exist yet.
                let Some(old) = past.get(shown) else {
                    return !is_stale;
                };
                *row = old.clone();
                true
            });
        }

        is_other.then(|| reply(&body))
    }

    /// Discards all stored results, because the tables were replaced.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// Returns a reply with status 200 and this body.
pub(crate) fn reply(body: &Value) -> Reply {
    Reply {
        status: 200,
        body: body.to_string().into_bytes(),
    }
}
