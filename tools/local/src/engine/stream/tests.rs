//! Which stream records trimming removes.

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
