//! Faults that are injected into the DynamoDB calls of functions.

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
    stale::{Stale, reply},
};

/// A hook that injects faults into every call.
pub struct TableFaults {
    engine: Engine,
    stale: Stale,
}

impl TableFaults {
    /// Creates the hook for these tables.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            stale: Stale::default(),
        }
    }

    /// Discards the stored read results after the tables were restored.
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

    /// Processes some items of a batch and responds for the others as DynamoDB does.
    fn partial(&self, invocation: &Invocation, call: &Call<'_>) -> Reply {
        let request = serde_json::from_slice(call.body).unwrap();
        match call.operation {
            "BatchExecuteStatement" => self.partial_statements(invocation, request),
            _ => self.partial_get(invocation, request),
        }
    }

    /// Executes some statements of a batch. The others are rejected with an error.
    fn partial_statements(&self, invocation: &Invocation, mut request: Value) -> Reply {
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
                let response = self.call("BatchExecuteStatement", &request);
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
        reply(&json!({ "Responses": responses }))
    }

    /// Reads some keys of a batch. The others are returned as unprocessed.
    fn partial_get(&self, invocation: &Invocation, mut request: Value) -> Reply {
        let mut unprocessed = json!({});
        let mut is_empty = true;
        for (table, wanted) in request["RequestItems"].as_object_mut().unwrap() {
            let mut keys = wanted["Keys"].as_array().unwrap().clone();
            keys.sort_by_key(ToString::to_string); // the functions' order is not deterministic
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
            self.call("BatchGetItem", &request)
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
            "another transaction is in progress",
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
