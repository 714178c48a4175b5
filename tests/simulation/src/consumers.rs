//! The consumers of the stream: one for each shard, each with what befalls it.

use std::{rc::Rc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    faults::{Fault, Invocation, rng},
    shards::poison,
    world::World,
};

impl World {
    /// Takes in what was written, and shows it to the judge.
    pub fn take_in(&self) {
        let records = self.stream.borrow_mut().take_in(&self.cloud);
        let mut oracle = self.oracle.borrow_mut();
        records
            .into_iter()
            .for_each(|record| oracle.observe(&self.cloud.with_kept_payload(record)));
    }

    /// A consumer for each shard that has none.
    pub(crate) fn consume(self: &Rc<Self>) {
        let mut consumers = self.consumers.borrow_mut();
        for shard in consumers.len()..self.stream.borrow().shards() {
            let world = Rc::clone(self);
            consumers.push(tokio::task::spawn_local(async move {
                world.consumer(shard).await
            }));
        }
    }

    async fn consumer(self: &Rc<Self>, shard: usize) {
        let mut rng = rng(&[self.plan.seed, 7, shard as u64]);
        while !self.is_over() {
            let is_resting = self.is_resting.get();
            let wait = if is_resting { 20 } else { rng.u64(50..900) };
            sleep(Duration::from_millis(wait)).await;
            if self.cloud.faults.strikes(Fault::DelayedRecords, &mut rng) {
                sleep(Duration::from_millis(rng.u64(1_000..9_000))).await;
            }
            if !is_resting
                && self
                    .is_down_until
                    .get()
                    .is_some_and(|until| until > Instant::now())
            {
                continue;
            }
            self.take_in();
            self.consume();
            let batch = self.stream.borrow().batch(shard, rng.usize(1..12));
            if batch.is_empty() {
                if is_resting && self.stream.borrow().is_drained() {
                    sleep(Duration::from_millis(500)).await;
                }
                continue;
            }
            self.deliver(shard, &batch, &mut rng).await;
        }
    }

    async fn deliver(&self, shard: usize, batch: &[Value], rng: &mut fastrand::Rng) {
        let faults = &self.cloud.faults;
        let mut delivered = batch.to_vec();
        let mut poison_at = None;
        if faults.strikes(Fault::PoisonRecord, rng) {
            let at = rng.usize(0..batch.len());
            delivered.insert(at, poison(&batch[at], rng));
            poison_at = Some(at);
        }
        let invocation = |rng: &mut fastrand::Rng| Invocation::new(faults, rng.fork());
        let (first, second) = (invocation(rng), invocation(rng));
        let mut taken = if faults.strikes(Fault::RepeatedRecords, rng) {
            // Lambda took a consumer for dead that was not.
            let (taken, other) = tokio::join!(
                self.cloud.sequence(first, &delivered),
                self.cloud.sequence(second, &delivered)
            );
            taken.and_then(|taken| Ok(taken.max(other?)))
        } else {
            self.cloud.sequence(first, &delivered).await
        };
        if let Err(panic) = &taken {
            self.oracle.borrow_mut().violated(6, panic.clone());
            taken = Ok(0);
        }
        let mut taken = taken.unwrap_or_default();
        let is_poison_taken = poison_at.is_some_and(|at| taken > at);
        let [delivered, passed] = self.poisoned.get();
        self.poisoned.set([
            delivered + usize::from(poison_at.is_some()),
            passed + usize::from(is_poison_taken),
        ]);
        taken -= usize::from(is_poison_taken); // its place in the batch was no place in the stream
        self.note(|| {
            format!(
                "shard {shard}: {taken} taken of {}",
                batch.iter().map(told).collect::<Vec<_>>().join(", ")
            )
        });
        self.counts.borrow_mut().records += taken as u64;
        let mut oracle = self.oracle.borrow_mut();
        batch[..taken]
            .iter()
            .for_each(|record| oracle.sequenced(record));
        // A checkpoint may be lost: then they come again.
        if faults.strikes(Fault::RepeatedRecords, rng) {
            taken = rng.usize(0..taken + 1);
        }
        self.stream.borrow_mut().done(shard, taken);
    }

    pub(crate) async fn drain(self: &Rc<Self>) {
        for _ in 0..2_000 {
            self.take_in();
            if self.is_over() || self.stream.borrow().is_drained() {
                return;
            }
            self.consume();
            sleep(Duration::from_millis(50)).await;
        }
        self.oracle
            .borrow_mut()
            .violated(6, "the stream is not drained, with nothing wrong any more");
    }
}

/// A record in few words.
fn told(record: &Value) -> String {
    let change = &record["dynamodb"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = word(&change["SequenceNumber"]);
    let number = number.trim_start_matches('1').trim_start_matches('0');
    format!(
        "{} v{} #{number}",
        word(&change["Keys"]["sk"]["S"]),
        word(&change["NewImage"]["server_version"]["N"])
    )
}
