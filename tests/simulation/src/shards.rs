//! The stream of `resources` between the engine and the changelog function: shards that split, and
//! consumers that lag, die and repeat. The engine has one shard and never repeats its records; this
//! module simulates what Lambda does besides.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::{
    cloud::Cloud,
    faults::{Fault, rng},
};

/// Parts of the key space. A shard owns one or more.
const SLOTS: usize = 8;
/// The first sequence number, before a shard's offset is added. It has the minimum length of
/// DynamoDB's sequence numbers, 21 digits.
const NUMBERS_FROM: u128 = 100_000_000_000_000_000_000;

/// The stream of `resources`, as its consumers read it.
pub struct Stream {
    seed: u64,
    arn: Option<Value>,
    /// The engine's sequence number of the last record that was read.
    taken_up_to: Option<String>,
    records_read: u128,
    shards: Vec<Shard>,
    /// The shard that receives the records of each slot.
    slots: [usize; SLOTS],
    /// Number of restores of the tables. Each restore starts another stream.
    generation: u32,
}

#[derive(Debug, Default)]
struct Shard {
    waiting: VecDeque<Value>,
    parent: Option<usize>,
    /// Added to the shard's numbers, so that numbers of different shards are not comparable.
    offset: u128,
}

impl Stream {
    /// Creates a stream of one to three shards.
    pub fn new(seed: u64) -> Self {
        let mut rng = rng(&[seed, 2]);
        let shards = rng.usize(1..4);
        let offset = |rng: &mut fastrand::Rng| u128::from(rng.u64(0..40));

        Self {
            seed,
            arn: None,
            taken_up_to: None,
            records_read: 0,
            shards: (0..shards)
                .map(|_| Shard {
                    offset: offset(&mut rng),
                    ..Shard::default()
                })
                .collect(),
            slots: std::array::from_fn(|slot| slot % shards),
            generation: 0,
        }
    }

    /// Returns the number of shards, closed shards included.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Returns whether every record that was read is delivered.
    pub fn is_drained(&self) -> bool {
        self.shards.iter().all(|shard| shard.waiting.is_empty())
    }

    /// Reads the new records and returns them in order, with the engine's sequence numbers.
    pub fn read_all(&mut self, cloud: &Cloud) -> Vec<Value> {
        let mut records = Vec::new();
        loop {
            let more = self.read(cloud);
            if more.is_empty() {
                break;
            }
            records.extend(more);
        }

        for record in &records {
            let keys = record["dynamodb"]["Keys"].to_string();
            let slot = rng(&[
                self.seed,
                3,
                keys.bytes()
                    .fold(7, |hash, byte| hash * 31 % 1_000_003 + u64::from(byte)),
            ])
            .usize(0..SLOTS);
            let shard = &mut self.shards[self.slots[slot]];

            let mut record = record.clone();
            // The engine's sequence numbers depend on the time of day.
            self.records_read += 1;
            // The numbers of another stream differ: random numbers of 21 to 40 digits do not
            // coincide.
            let number = NUMBERS_FROM
                + (self.records_read * 10 + shard.offset) * 2
                + u128::from(self.generation % 2);
            record["dynamodb"]["SequenceNumber"] = number.to_string().into();
            let label = format!("2026-01-01T00:00:00.{:03}", self.generation);
            record["eventSourceARN"] =
                format!("arn:aws:dynamodb:us-east-1:000000000000:table/resources/stream/{label}")
                    .into();

            shard.waiting.push_back(record);
        }
        records
    }

    fn read(&mut self, cloud: &Cloud) -> Vec<Value> {
        let arn = self.arn.get_or_insert_with(|| {
            cloud.call("DescribeTable", &json!({"TableName": "resources"}))["Table"]["LatestStreamArn"].clone()
        });
        let described = cloud.call("DescribeStream", &json!({"StreamArn": arn}));
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];

        let mut request =
            json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        if let Some(number) = &self.taken_up_to {
            request["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER".into();
            request["SequenceNumber"] = number.as_str().into();
        }
        let iterator = cloud.call("GetShardIterator", &request);
        let response = cloud.call(
            "GetRecords",
            &json!({"ShardIterator": iterator["ShardIterator"]}),
        );

        let records = response["Records"].as_array().unwrap().clone();
        if let Some(last) = records.last() {
            self.taken_up_to = Some(
                last["dynamodb"]["SequenceNumber"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        records
    }

    /// Discards every undelivered record and starts another stream, because the tables were
    /// restored.
    pub fn restart(&mut self, cloud: &Cloud) {
        while !self.read(cloud).is_empty() {}
        self.shards
            .iter_mut()
            .for_each(|shard| shard.waiting.clear());
        self.generation += 1;
    }

    /// Discards the undelivered records, which expire after a day. Returns their number.
    pub fn lose(&mut self) -> usize {
        self.shards
            .iter_mut()
            .map(|shard| shard.waiting.drain(..).count())
            .sum()
    }

    /// Splits a random shard if it owns more than one part of the key space.
    pub fn split(&mut self, cloud: &Cloud, rng: &mut fastrand::Rng) {
        let slot = rng.usize(0..SLOTS);
        let parent = self.slots[slot];
        let slots: Vec<usize> = (0..SLOTS)
            .filter(|slot| self.slots[*slot] == parent)
            .collect();
        if slots.len() < 2 || self.shards.len() > 12 {
            return;
        }

        cloud.faults.count(Fault::ShardSplit);
        let (first, second) = (self.shards.len(), self.shards.len() + 1);
        for _ in [first, second] {
            // The records of one item continue with higher numbers.
            let offset = self.shards[parent].offset + u128::from(rng.u64(0..40));
            self.shards.push(Shard {
                parent: Some(parent),
                offset,
                ..Shard::default()
            });
        }

        for (at, slot) in slots.into_iter().enumerate() {
            self.slots[slot] = if at % 2 == 0 { first } else { second };
        }
    }

    /// Returns the next records of a shard, at most `limit`, or none while an ancestor has pending
    /// records.
    pub fn batch(&self, shard: usize, limit: usize) -> Vec<Value> {
        let is_waiting = |shard: &Shard| !shard.waiting.is_empty();

        let mut ancestor = self.shards[shard].parent;
        while let Some(parent) = ancestor {
            if is_waiting(&self.shards[parent]) {
                return Vec::new();
            }
            ancestor = self.shards[parent].parent;
        }

        self.shards[shard]
            .waiting
            .iter()
            .take(limit)
            .cloned()
            .collect()
    }

    /// Removes the first `count` records of a shard, which were processed.
    pub fn done(&mut self, shard: usize, count: usize) {
        let waiting = &mut self.shards[shard].waiting;
        waiting.drain(..count.min(waiting.len()));
    }
}

/// Returns a record that cannot be decoded, with the sequence number of its neighbor.
pub fn poison(neighbor: &Value, rng: &mut fastrand::Rng) -> Value {
    let mut record = neighbor.clone();
    let image = &mut record["dynamodb"]["NewImage"];
    match rng.u32(0..3) {
        0 => image["server_version"] = json!({"S": "not a number"}),
        // The row of a deleted resource has no `payload` attribute.
        1 if image.get("tombstone").is_some() => image["tombstone"] = json!({"S": "not packed"}),
        1 => image["payload"] = json!({"S": "{not json"}),
        _ => *image = json!({}),
    }
    record["eventName"] = "MODIFY".into();
    record["dynamodb"]["SizeBytes"] = rng.u32(..).into();
    record
}
