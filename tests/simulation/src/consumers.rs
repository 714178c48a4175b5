//! The consumers of the stream, one for each shard, and the faults that affect them.

use std::{rc::Rc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    faults::{Fault, Invocation, rng},
    shards::poison,
    world::World,
};

impl World {
    /// Reads the new stream records and passes them to the oracle.
    pub fn read_stream(&self) {
        let records = self.stream.borrow_mut().read_all(&self.cloud);
        let mut oracle = self.oracle.borrow_mut();
        records
            .into_iter()
            .for_each(|record| oracle.observe(&self.cloud.with_kept_payload(record)));
    }

    /// Starts a consumer for each shard that has none.
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

            self.read_stream();
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

    /// Delivers a batch of records, reports the processed records to the oracle, and sets the
    /// checkpoint of the shard.
    async fn deliver(&self, shard: usize, batch: &[Value], rng: &mut fastrand::Rng) {
        let mut delivered = batch.to_vec();
        let poison_at = self.insert_poison(&mut delivered, rng);

        let taken = self
            .sequence(&delivered, rng)
            .await
            .unwrap_or_else(|panic| {
                self.oracle.borrow_mut().violated(6, panic);
                0
            });
        let mut taken = self.without_poison(taken, poison_at);

        self.note(|| {
            format!(
                "shard {shard}: {taken} taken of {}",
                batch.iter().map(summary).collect::<Vec<_>>().join(", ")
            )
        });
        self.counts.borrow_mut().records += taken as u64;
        let mut oracle = self.oracle.borrow_mut();
        batch[..taken]
            .iter()
            .for_each(|record| oracle.sequenced(record));

        // If a checkpoint is lost, the records are delivered again.
        if self.cloud.faults.strikes(Fault::RepeatedRecords, rng) {
            taken = rng.usize(0..taken + 1);
        }
        self.stream.borrow_mut().done(shard, taken);
    }

    /// Inserts an undecodable record into a batch if the fault is injected. Returns its index.
    fn insert_poison(&self, batch: &mut Vec<Value>, rng: &mut fastrand::Rng) -> Option<usize> {
        if !self.cloud.faults.strikes(Fault::PoisonRecord, rng) {
            return None;
        }
        let at = rng.usize(0..batch.len());
        let record = poison(&batch[at], rng);
        batch.insert(at, record);
        Some(at)
    }

    /// Invokes the changelog function with a batch, sometimes in two concurrent invocations.
    /// Returns how many records from the front it processed.
    async fn sequence(
        &self,
        delivered: &[Value],
        rng: &mut fastrand::Rng,
    ) -> Result<usize, String> {
        let faults = &self.cloud.faults;
        let invocation = |rng: &mut fastrand::Rng| Invocation::new(faults, rng.fork());
        let (first, second) = (invocation(rng), invocation(rng));

        if !faults.strikes(Fault::RepeatedRecords, rng) {
            return self.cloud.sequence(first, delivered).await;
        }
        // Lambda replaced a consumer that was still running.
        let (taken, other) = tokio::join!(
            self.cloud.sequence(first, delivered),
            self.cloud.sequence(second, delivered)
        );
        taken.and_then(|taken| Ok(taken.max(other?)))
    }

    /// Counts the undecodable record at this index. Returns the number of processed records without
    /// it, because it is not part of the stream.
    fn without_poison(&self, taken: usize, poison_at: Option<usize>) -> usize {
        let is_taken = poison_at.is_some_and(|at| taken > at);
        let [delivered, passed] = self.poisoned.get();
        self.poisoned.set([
            delivered + usize::from(poison_at.is_some()),
            passed + usize::from(is_taken),
        ]);
        taken - usize::from(is_taken)
    }

    pub(crate) async fn drain(self: &Rc<Self>) {
        for _ in 0..2_000 {
            self.read_stream();
            if self.is_over() || self.stream.borrow().is_drained() {
                return;
            }
            self.consume();
            sleep(Duration::from_millis(50)).await;
        }
        self.oracle
            .borrow_mut()
            .violated(6, "the stream does not drain after all faults have ended");
    }
}

/// Summarizes a record for the trace.
fn summary(record: &Value) -> String {
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
