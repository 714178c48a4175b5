//! What dynoxide lacks for its stream records: an index over them, and trimming. The module writes
//! only to dynoxide's `_stream_records` table, whose schema is pinned with the crate's version.

use rusqlite::{Connection, params};

use super::EngineError;

/// dynoxide stores plain numbers and adds this offset when it returns them, so that they have 21
/// digits like those of DynamoDB.
const PUBLIC_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Creates the index over the sequence numbers. Without it, each write to a table with a stream
/// scans all stream records for the highest number: 25 times slower after 30,000 records.
pub(super) fn create_index(side: &Connection) -> Result<(), EngineError> {
    side.execute_batch(
        "CREATE INDEX IF NOT EXISTS tidemark_stream_order
         ON _stream_records(table_name, CAST(sequence_number AS INTEGER))",
    )?;
    Ok(())
}

/// Deletes the records of `table` up to and including the public sequence number, except the newest
/// one. The next number is derived from the newest record, and a lower number would precede
/// positions that readers already hold.
pub(super) fn trim(
    side: &Connection,
    table: &str,
    up_to_sequence: &str,
) -> Result<usize, EngineError> {
    let removed = side.execute(
        "DELETE FROM _stream_records
         WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2
           AND CAST(sequence_number AS INTEGER) <
               (SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1)",
        params![table, stored(up_to_sequence)],
    )?;
    Ok(removed)
}

/// Returns the stored form of a public sequence number. A number that this engine did not issue
/// becomes 0, which trims nothing: it is better to keep a record than to lose one.
fn stored(public: &str) -> i64 {
    let number = public
        .parse::<u128>()
        .ok()
        .and_then(|number| number.checked_sub(PUBLIC_OFFSET));
    number
        .and_then(|number| i64::try_from(number).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Engine;

    fn call(engine: &Engine, operation: &str, request: &Value) -> Value {
        let reply = engine.call(operation, request.to_string().as_bytes());
        assert_eq!(
            reply.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn engine_with_puts(puts: usize) -> (Engine, Value) {
        let engine = Engine::memory().unwrap();
        let table = call(
            &engine,
            "CreateTable",
            &json!({
                "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            }),
        );

        for n in 0..puts {
            call(
                &engine,
                "PutItem",
                &json!({"TableName": "things", "Item": {"k": {"S": n.to_string()}}}),
            );
        }
        (engine, table["TableDescription"]["LatestStreamArn"].clone())
    }

    fn sequence_numbers(engine: &Engine, stream: &Value) -> Vec<String> {
        let described = call(engine, "DescribeStream", &json!({"StreamArn": stream}));
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
        let iterator = call(
            engine,
            "GetShardIterator",
            &json!({
            "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}),
        );

        let records = call(
            engine,
            "GetRecords",
            &json!({"ShardIterator": iterator["ShardIterator"]}),
        );

        let records = records["Records"].as_array().unwrap();
        records
            .iter()
            .map(|r| r["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn trimming_keeps_unprocessed_records() {
        let (engine, stream) = engine_with_puts(5);
        let before = sequence_numbers(&engine, &stream);
        assert_eq!(engine.trim_stream("things", &before[1]).unwrap(), 2);
        assert_eq!(sequence_numbers(&engine, &stream), before[2..]);
    }

    #[test]
    fn trimming_keeps_newest_record_and_numbers_increase() {
        let (engine, stream) = engine_with_puts(5);
        let before = sequence_numbers(&engine, &stream);
        assert_eq!(engine.trim_stream("things", &before[4]).unwrap(), 4);
        call(
            &engine,
            "PutItem",
            &json!({"TableName": "things", "Item": {"k": {"S": "new"}}}),
        );
        let after = sequence_numbers(&engine, &stream);
        assert_eq!(after[0], before[4]);
        assert!(after[1] > before[4]);
    }

    #[test]
    fn foreign_sequence_number_trims_nothing() {
        let (engine, _) = engine_with_puts(3);
        assert_eq!(
            engine.trim_stream("things", "17").unwrap()
                + engine.trim_stream("things", "garbage").unwrap(),
            0
        );
    }
}
