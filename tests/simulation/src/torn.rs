//! DynamoDB shows the rows of a transaction one by one while it commits. The engine commits at once, so what its readers see is held
//! back here: of a segment and its head, one shows before the other, until the writer is answered.

use std::{sync::Mutex, time::Duration};

use serde_json::{Value, json};
use tidemark::engine::{Engine, Reply, http::Call};
use tokio::time::Instant;

use crate::{
    faults::{Fault, Invocation},
    table_faults::reply,
};

/// Transactions that commit.
pub(crate) struct Torn {
    engine: Engine,
    /// The head of a channel before the transaction that is about to run.
    before: Mutex<Option<Value>>,
    committing: Mutex<Vec<Committing>>,
}

struct Committing {
    pk: Value,
    /// The sort key of the row that does not show yet.
    hidden: Value,
    /// What shows in its place.
    old: Option<Value>,
    until: Instant,
}

impl Torn {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, before: Mutex::default(), committing: Mutex::default() }
    }

    /// Just before a call takes effect.
    pub(crate) fn about_to(&self, call: &Call<'_>) {
        let Some((head, _)) = append(call) else { return };
        let get = json!({"TableName": "changes", "Key": head, "ConsistentRead": true});
        let answer = self.engine.call("GetItem", get.to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        *self.before.lock().unwrap() = answer.get("Item").cloned();
    }

    /// Just after a call took effect: a while passes until its caller hears of it.
    pub(crate) async fn committing(&self, invocation: &Invocation, call: &Call<'_>, reply: &Reply) {
        let Some((head, segment)) = append(call).filter(|_| reply.status == 200) else { return };
        // A head that moved on was seen where it moved on from.
        self.committing.lock().unwrap().retain(|row| (&row.pk, &row.hidden) != (&head["pk"], &head["sk"]));
        if !invocation.strikes(Fault::TornTransaction) {
            return;
        }
        let wait = Duration::from_millis(50 + invocation.below(3_000));
        let old = self.before.lock().unwrap().take();
        let until = Instant::now() + wait;
        let pk = head["pk"].clone();
        let hidden = if invocation.below(2) == 0 {
            Committing { pk, hidden: segment["sk"].clone(), old: None, until }
        } else {
            Committing { pk, hidden: head["sk"].clone(), old, until }
        };
        self.committing.lock().unwrap().push(hidden);
        tokio::time::sleep(wait).await;
    }

    /// What a reader sees, where it is not what stands.
    pub(crate) fn seen(&self, call: &Call<'_>, answer: &Reply) -> Option<Reply> {
        let mut committing = self.committing.lock().unwrap();
        committing.retain(|row| row.until > Instant::now());
        if committing.is_empty() || answer.status != 200 || !matches!(call.operation, "Query" | "BatchGetItem") {
            return None;
        }
        let mut body: Value = serde_json::from_slice(&answer.body).ok()?;
        let rows = match call.operation {
            "Query" => body.get_mut("Items")?.as_array_mut()?,
            _ => body.get_mut("Responses")?.get_mut("changes")?.as_array_mut()?,
        };
        let mut is_other = false;
        rows.retain_mut(|row| {
            let hides = |it: &&Committing| it.pk == row["pk"] && it.hidden == row["sk"];
            let Some(hidden) = committing.iter().find(hides) else { return true };
            is_other = true;
            match &hidden.old {
                None => false,
                Some(old) => {
                    *row = old.clone();
                    true
                }
            }
        });
        is_other.then(|| reply(&body))
    }
}

/// The keys of head and segment, of the transaction that appends to a log.
fn append(call: &Call<'_>) -> Option<(Value, Value)> {
    if call.operation != "TransactWriteItems" {
        return None;
    }
    let request: Value = serde_json::from_slice(call.body).ok()?;
    let items = request["TransactItems"].as_array()?;
    let put = items.iter().find_map(|item| Some(&item["Put"]).filter(|put| put["TableName"] == "changes"))?;
    let update = items.iter().find_map(|item| Some(&item["Update"]).filter(|update| update["TableName"] == "changes"))?;
    let segment = json!({"pk": put["Item"]["pk"], "sk": put["Item"]["sk"]});
    Some((update["Key"].clone(), segment))
}
