//! The tables of a deployment and their streams, as tests read them.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde_json::{Value, json, value::RawValue};
use tidemark_aws::stream::StreamEvent;
use tidemark_aws::tables::format::unpack;

use super::Stack;

impl Stack {
    /// Returns the records in the stream of `resources`, in the form of a Lambda event.
    pub fn stream_records(&self) -> Vec<Value> {
        self.stream_records_of("resources")
    }

    /// Returns the records in the stream of a table, in the form of a Lambda event.
    pub fn stream_records_of(&self, table: &str) -> Vec<Value> {
        let call = |operation: &str, request: Value| self.dynamodb(operation, &request);
        let arn =
            call("DescribeTable", json!({"TableName": table}))["Table"]["LatestStreamArn"].clone();
        let shards =
            call("DescribeStream", json!({"StreamArn": arn}))["StreamDescription"]["Shards"]
                .clone();

        let mut records = Vec::new();
        for shard in shards.as_array().unwrap() {
            let request = json!({"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let mut iterator = call("GetShardIterator", request)["ShardIterator"].clone();
            while !iterator.is_null() {
                let mut response = call(
                    "GetRecords",
                    json!({"ShardIterator": iterator, "Limit": 1000}),
                );
                match response["Records"].as_array_mut() {
                    Some(some) if !some.is_empty() => records.append(some),
                    _ => break,
                }
                iterator = response["NextShardIterator"].take();
            }
        }

        for record in &mut records {
            record["eventSourceARN"] = arn.clone();
        }
        records
    }

    /// Returns every row of a table.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.dynamodb("Scan", &json!({"TableName": table}))["Items"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Returns the rows of conflicts, without the rows of separate payloads and of counts.
    pub fn conflicts(&self) -> Vec<Value> {
        self.rows("conflicts")
            .into_iter()
            .filter(|row| row["id"].is_object())
            .collect()
    }

    /// Returns the payload of a row of `resources`. For a deleted resource, that is the last
    /// payload, from the row or from `conflicts`.
    pub fn payload_of(&self, row: &Value) -> String {
        let unpacked = |packed: &Value| {
            let packed = BASE64_STANDARD
                .decode(packed["B"].as_str().unwrap())
                .unwrap();
            String::from_utf8(unpack(&packed, 4 << 20).unwrap()).unwrap()
        };

        if let Some(text) = row["payload"]["S"].as_str() {
            return text.to_owned();
        }
        let memory: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&unpacked(&row["tombstone"])).unwrap();
        if let Some(payload) = memory.get("p") {
            return payload.get().to_owned();
        }

        let (version, _): (u64, usize) = serde_json::from_str(memory["k"].get()).unwrap();
        let key = format!("v#{}#{version}", row["sk"]["S"].as_str().unwrap());
        let kept = self
            .rows("conflicts")
            .into_iter()
            .find(|it| it["pk"] == row["pk"] && it["sk"]["S"] == key);
        unpacked(&kept.unwrap()["packed"])
    }

    /// Returns the segments of the change logs of all channels.
    pub fn segments(&self) -> Vec<Value> {
        self.rows("changes")
            .into_iter()
            .filter(|row| row["sk"]["S"] != "head")
            .collect()
    }

    /// Calls an operation of the engine.
    pub fn dynamodb(&self, operation: &str, request: &Value) -> Value {
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

/// Returns a Lambda event with these stream records, in this order.
pub fn stream_event(records: &[Value]) -> LambdaEvent<StreamEvent> {
    let records = records
        .iter()
        .map(|record| RawValue::from_string(record.to_string()).unwrap())
        .collect();
    LambdaEvent::new(StreamEvent { records }, LambdaContext::default())
}
