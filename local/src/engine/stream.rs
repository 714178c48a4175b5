//! What dynoxide leaves out of its stream records: an index over them, and trimming. It writes to
//! dynoxide's `_stream_records` table, whose shape is pinned with the crate's version, and to
//! nothing else.

use rusqlite::{Connection, params};

use super::EngineError;

/// dynoxide stores plain numbers and shows them with this added, so that they have the 21 digits
/// DynamoDB's have.
const PUBLIC_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Without it each write to a table with a stream reads all stream records for the highest number:
/// 25 times slower after 30,000 records.
pub(super) fn create_index(side: &Connection) -> Result<(), EngineError> {
    side.execute_batch(
        "CREATE INDEX IF NOT EXISTS tidemark_stream_order
         ON _stream_records(table_name, CAST(sequence_number AS INTEGER))",
    )?;
    Ok(())
}

/// Deletes the records of `table` up to and including the public sequence number, but never the
/// newest: the next number is counted from it, and a lower one would stand before positions that
/// readers already hold.
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

/// A number that is none of this engine's trims nothing: losing a record is worse than keeping it.
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
    fn trimming_keeps_what_was_not_processed() {
        let (engine, stream) = engine_with_puts(5);
        let before = sequence_numbers(&engine, &stream);
        assert_eq!(engine.trim_stream("things", &before[1]).unwrap(), 2);
        assert_eq!(sequence_numbers(&engine, &stream), before[2..]);
    }

    #[test]
    fn trimming_everything_keeps_the_newest_so_that_numbers_never_start_lower() {
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
    fn a_number_of_another_stream_trims_nothing() {
        let (engine, _) = engine_with_puts(3);
        assert_eq!(
            engine.trim_stream("things", "17").unwrap()
                + engine.trim_stream("things", "garbage").unwrap(),
            0
        );
    }
}
