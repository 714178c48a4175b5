//! Hooks on the calls of the real SDK: its retries and their effects.

use std::{sync::Mutex, time::Duration};

use aws_sdk_dynamodb::Client;

use super::tests::{batch, code, engine, insert};
use super::*;
use crate::BoxFuture;

/// Returns the scripted fates in turn, then lets every call continue.
struct Script {
    before: Mutex<Vec<CallFate>>,
    after: Mutex<Vec<CallFate>>,
}

impl Script {
    fn client(engine: Engine, before: &[CallFate], after: &[CallFate]) -> Client {
        let hook = Self {
            before: Mutex::new(before.to_vec()),
            after: Mutex::new(after.to_vec()),
        };
        dynamodb_client(EngineClient::with_hook(engine, Arc::new(hook)))
    }
}

fn next(fates: &Mutex<Vec<CallFate>>) -> BoxFuture<'static, CallFate> {
    let fate = fates.lock().unwrap().pop().unwrap_or(CallFate::Continue);
    Box::pin(std::future::ready(fate))
}

impl Hook for Script {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        next(&self.before)
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        next(&self.after)
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_lost_response_meets_own_write() {
    let engine = engine();
    let client = Script::client(engine, &[], &[CallFate::Lose]);
    let (inserted, _) = batch(&client, [insert("a", 1)]).await;
    assert_eq!(code(&inserted[0]), "DuplicateItem");
}

#[tokio::test(start_paused = true)]
async fn sdk_retries_throttled_failed_and_lost_calls() {
    let throttle = CallFate::Reply(Reply::error(
        400,
        "ProvisionedThroughputExceededException",
        "slow down",
    ));
    let failure = CallFate::Reply(Reply::error(500, "InternalServerError", "down"));
    for fate in [throttle, failure, CallFate::Lose] {
        let client = Script::client(engine(), &[fate], &[]);
        assert_eq!(code(&batch(&client, [insert("a", 1)]).await.0[0]), "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_call_never_completes_or_takes_effect() {
    let engine = engine();
    let client = Script::client(engine.clone(), &[CallFate::Hang], &[]);
    let hanging = client
        .batch_execute_statement()
        .statements(insert("a", 1))
        .send();

    assert!(
        tokio::time::timeout(Duration::from_secs(3600), hanging)
            .await
            .is_err()
    );

    assert_eq!(
        code(
            &batch(
                &dynamodb_client(EngineClient::new(engine)),
                [insert("a", 1)]
            )
            .await
            .0[0]
        ),
        "ok"
    );
}
