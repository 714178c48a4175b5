//! What a hook does to the real SDK: its retries, and what they meet.

use std::sync::Mutex;

use aws_sdk_dynamodb::Client;

use super::tests::{batch, code, engine, insert};
use super::*;

/// Gives the verdicts in turn, then lets everything pass.
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

fn next(verdicts: &Mutex<Vec<CallFate>>) -> BoxFuture<'static, CallFate> {
    let verdict = verdicts.lock().unwrap().pop().unwrap_or(CallFate::Continue);
    Box::pin(std::future::ready(verdict))
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
async fn the_sdk_repeats_a_call_whose_answer_was_lost_and_meets_its_own_write() {
    let engine = engine();
    let client = Script::client(engine, &[], &[CallFate::Lose]);
    let (inserted, _) = batch(&client, [insert("a", 1)]).await;
    assert_eq!(code(&inserted[0]), "DuplicateItem");
}

#[tokio::test(start_paused = true)]
async fn the_sdk_repeats_throttled_failed_and_lost_calls() {
    let throttle = CallFate::Reply(Reply::error(
        400,
        "ProvisionedThroughputExceededException",
        "slow down",
    ));
    let failure = CallFate::Reply(Reply::error(500, "InternalServerError", "down"));
    for verdict in [throttle, failure, CallFate::Lose] {
        let client = Script::client(engine(), &[verdict], &[]);
        assert_eq!(code(&batch(&client, [insert("a", 1)]).await.0[0]), "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_never_answers_and_never_took_place() {
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
