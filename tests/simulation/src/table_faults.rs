//! Faults of the tables: what a function's calls meet.

use serde_json::{Value, json};
use tidemark::{
    BoxFuture,
    engine::{
        Engine, Reply,
        http::{Call, CallFate, Hook},
    },
};

use crate::{
    faults::{Fault, INVOCATION, Invocation},
    stale::Stale,
};

/// The hook on every call.
pub struct TableFaults {
    engine: Engine,
    stale: Stale,
}

impl TableFaults {
    /// Faults of these tables.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            stale: Stale::default(),
        }
    }

    /// The tables were restored: nobody reads any more what they held.
    pub fn restored(&self) {
        self.stale.forget();
    }

    async fn before(&self, invocation: &Invocation, call: &Call<'_>) -> CallFate {
        tokio::time::sleep(invocation.wait(1, 30)).await;
        if invocation.strikes(Fault::Kill) {
            invocation.die().await;
        }
        if invocation.strikes(Fault::LostCall) {
            return CallFate::Lose;
        }
        if invocation.strikes(Fault::Throttle) {
            return CallFate::Reply(Reply::error(
                400,
                "ProvisionedThroughputExceededException",
                "slow down",
            ));
        }
        if invocation.strikes(Fault::InternalError) {
            return CallFate::Reply(Reply::error(500, "InternalServerError", "try again"));
        }
        if writes(call) && invocation.strikes(Fault::TransactionConflict) {
            return CallFate::Reply(transaction_conflict(call));
        }
        if matches!(call.operation, "BatchGetItem" | "BatchExecuteStatement")
            && invocation.strikes(Fault::PartialBatch)
        {
            return CallFate::Reply(self.partial(invocation, call));
        }
        CallFate::Continue
    }

    async fn after(&self, invocation: &Invocation, call: &Call<'_>, reply: &Reply) -> CallFate {
        let seen = self.stale.seen(invocation, call, reply);
        if invocation.strikes(Fault::SlowResponse) {
            tokio::time::sleep(invocation.wait(100, 9_000)).await;
        }
        if invocation.strikes(Fault::Kill) {
            invocation.die().await;
        }
        if invocation.strikes(Fault::LostReply) {
            return CallFate::Lose;
        }
        seen.map_or(CallFate::Continue, CallFate::Reply)
    }

    /// Does some of a batch, and says of the rest what DynamoDB says.
    fn partial(&self, invocation: &Invocation, call: &Call<'_>) -> Reply {
        let mut request: Value = serde_json::from_slice(call.body).unwrap();
        if call.operation == "BatchExecuteStatement" {
            let statements = request["Statements"].as_array().unwrap().clone();
            let is_done: Vec<bool> = statements
                .iter()
                .map(|_| invocation.below(2) == 0)
                .collect();
            let done: Vec<_> = statements
                .into_iter()
                .zip(&is_done)
                .filter(|(_, is_done)| **is_done)
                .map(|(it, _)| it)
                .collect();
            let mut responses = match done.is_empty() {
                true => Vec::new(),
                false => {
                    request["Statements"] = done.into();
                    let response = self.call(call.operation, &request);
                    response["Responses"].as_array().unwrap().clone()
                }
            }
            .into_iter();
            let code = ["ThrottlingError", "TransactionConflict"]
                [usize::try_from(invocation.below(2)).unwrap()];
            let rejected = json!({"Error": {"Code": code, "Message": "not now"}});
            let responses: Vec<Value> = is_done
                .iter()
                .map(|done| {
                    if *done {
                        responses.next().unwrap()
                    } else {
                        rejected.clone()
                    }
                })
                .collect();
            return reply(&json!({ "Responses": responses }));
        }
        let mut unprocessed = json!({});
        let mut is_empty = true;
        for (table, wanted) in request["RequestItems"].as_object_mut().unwrap() {
            let mut keys = wanted["Keys"].as_array().unwrap().clone();
            keys.sort_by_key(ToString::to_string); // the functions' order is not always the same
            let (done, left): (Vec<Value>, Vec<Value>) =
                keys.into_iter().partition(|_| invocation.below(2) == 0);
            if !left.is_empty() {
                unprocessed[table] = wanted.clone();
                unprocessed[table]["Keys"] = left.into();
            }
            is_empty &= done.is_empty();
            wanted["Keys"] = done.into();
        }
        let mut response = if is_empty {
            json!({"Responses": {}})
        } else {
            self.call(call.operation, &request)
        };
        response["UnprocessedKeys"] = unprocessed;
        reply(&response)
    }

    fn call(&self, operation: &str, request: &Value) -> Value {
        let reply = self.engine.call(operation, request.to_string().as_bytes());
        assert_eq!(
            reply.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        serde_json::from_slice(&reply.body).unwrap()
    }
}

impl Hook for TableFaults {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async move {
            match INVOCATION.try_with(std::sync::Arc::clone) {
                Ok(invocation) => self.before(&invocation, call).await,
                Err(_) => CallFate::Continue,
            }
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(async move {
            match INVOCATION.try_with(std::sync::Arc::clone) {
                Ok(invocation) => self.after(&invocation, call, reply).await,
                Err(_) => CallFate::Continue,
            }
        })
    }
}

/// A 200 with this body.
pub(crate) fn reply(body: &Value) -> Reply {
    Reply {
        status: 200,
        body: body.to_string().into_bytes(),
    }
}

fn writes(call: &Call<'_>) -> bool {
    matches!(
        call.operation,
        "TransactWriteItems" | "PutItem" | "UpdateItem" | "DeleteItem"
    )
}

fn transaction_conflict(call: &Call<'_>) -> Reply {
    if call.operation != "TransactWriteItems" {
        return Reply::error(
            400,
            "TransactionConflictException",
            "somebody's transaction",
        );
    }
    let request: Value = serde_json::from_slice(call.body).unwrap();
    let parts = request["TransactItems"].as_array().unwrap().len();
    let reasons: Vec<Value> = (0..parts)
        .map(|part| {
            if part == 0 {
                json!({"Code": "TransactionConflict", "Message": "ongoing"})
            } else {
                json!({"Code": "None"})
            }
        })
        .collect();
    let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "Transaction cancelled [TransactionConflict]", "CancellationReasons": reasons});
    Reply {
        status: 400,
        body: body.to_string().into_bytes(),
    }
}
