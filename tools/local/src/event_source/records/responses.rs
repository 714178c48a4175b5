//! The responses of the engine's stream API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::MappingError;
use super::Batch;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableResponse {
    pub(super) table: TableDescription,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableDescription {
    pub(super) latest_stream_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamResponse {
    pub(super) stream_description: StreamDescription,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamDescription {
    pub(super) shards: Vec<ShardDescription>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardDescription {
    pub(super) shard_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IteratorResponse {
    pub(super) shard_iterator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RecordsResponse {
    pub(super) records: Vec<Value>,
    pub(super) next_shard_iterator: Option<String>,
}

/// Returns the event as Lambda delivers it. The event is deserialized from its text, so that it
/// contains only what the text can represent.
pub(super) fn batch(
    arn: &str,
    shard: String,
    mut records: Vec<Value>,
) -> Result<Batch, MappingError> {
    let mut sequence_numbers = Vec::with_capacity(records.len());
    for record in &mut records {
        record["eventSourceARN"] = arn.into();
        sequence_numbers.push(
            record["dynamodb"]["SequenceNumber"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
    }

    let event = serde_json::from_str(&json!({ "Records": records }).to_string())?;
    Ok(Batch {
        shard,
        event,
        sequence_numbers,
    })
}
