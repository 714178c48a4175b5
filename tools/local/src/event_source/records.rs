//! Reads a table's stream in batches and trims processed records. The module handles shards and
//! sequence numbers and never interprets a record.

mod responses;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidemark_aws::stream::StreamEvent;

use super::MappingError;
use crate::engine::Engine;

use responses::{
    IteratorResponse, RecordsResponse, ShardDescription, StreamResponse, TableResponse, batch,
};

/// Records of one shard, in order.
pub(super) struct Batch {
    pub(super) shard: String,
    pub(super) event: StreamEvent,
    pub(super) sequence_numbers: Vec<String>,
}

/// The stream of one table.
pub(super) struct Stream {
    engine: Engine,
    table: String,
    batch_records_max: usize,
    arn: Option<String>,
    /// The last processed sequence number per shard.
    done: BTreeMap<String, String>,
    closed: BTreeSet<String>,
}

impl Stream {
    pub(super) fn new(engine: Engine, table: &str, batch_records_max: usize) -> Self {
        let (done, closed) = (BTreeMap::new(), BTreeSet::new());
        Self {
            engine,
            table: table.to_owned(),
            batch_records_max,
            arn: None,
            done,
            closed,
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the next records of the first shard that has any. DynamoDB lists a shard before its
    /// child shards, so the records of one item stay in order.
    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, MappingError> {
        let arn = self.arn()?;
        let stream: StreamResponse = self.call("DescribeStream", &json!({ "StreamArn": arn }))?;

        for ShardDescription { shard_id } in stream.stream_description.shards {
            if self.closed.contains(&shard_id) {
                continue;
            }
            let response = self.records_of(&arn, &shard_id)?;
            if !response.records.is_empty() {
                return batch(&arn, shard_id, response.records).map(Some);
            }

            // An ending sequence number does not mark a closed shard: dynoxide returns one for open
            // shards too.
            if response.next_shard_iterator.is_none() {
                self.closed.insert(shard_id);
            }
        }
        Ok(None)
    }

    /// Marks all records of the shard up to the sequence number as processed, and trims them.
    pub(super) fn finish(
        &mut self,
        shard: &str,
        sequence_number: &str,
    ) -> Result<(), MappingError> {
        self.done
            .insert(shard.to_owned(), sequence_number.to_owned());
        self.engine.trim_stream(&self.table, sequence_number)?;
        Ok(())
    }

    fn arn(&mut self) -> Result<String, MappingError> {
        if let Some(arn) = &self.arn {
            return Ok(arn.clone());
        }
        let response: TableResponse =
            self.call("DescribeTable", &json!({ "TableName": self.table }))?;
        Ok(self.arn.insert(response.table.latest_stream_arn).clone())
    }

    fn records_of(&self, arn: &str, shard: &str) -> Result<RecordsResponse, MappingError> {
        let mut request =
            json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        if let Some(done) = self.done.get(shard) {
            request["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER".into();
            request["SequenceNumber"] = done.as_str().into();
        }
        let iterator: IteratorResponse = self.call("GetShardIterator", &request)?;
        let request =
            json!({ "ShardIterator": iterator.shard_iterator, "Limit": self.batch_records_max });
        self.call("GetRecords", &request)
    }

    fn call<A: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &Value,
    ) -> Result<A, MappingError> {
        let reply = self.engine.call(operation, request.to_string().as_bytes());
        if reply.status == 200 {
            Ok(serde_json::from_slice(&reply.body)?)
        } else {
            Err(MappingError::Engine {
                operation,
                reply: String::from_utf8_lossy(&reply.body).into_owned(),
            })
        }
    }
}
