//! Compaction of the database file: when it happens, and what it keeps.

use std::path::Path;

use serde_json::{Value, json};

use super::Engine;

fn call(engine: &Engine, operation: &str, request: &Value) {
    let reply = engine.call(operation, request.to_string().as_bytes());
    assert_eq!(
        reply.status,
        200,
        "{operation}: {}",
        String::from_utf8_lossy(&reply.body)
    );
}

/// Creates the table `things`, whose items expire at `expires_at`.
fn create_expiring_table(engine: &Engine) {
    let table = json!({
        "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    });
    call(engine, "CreateTable", &table);

    let ttl = json!({
        "TableName": "things",
        "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "expires_at"},
    });
    call(engine, "UpdateTimeToLive", &ttl);
}

/// Stores an item of 300 kB.
fn put(engine: &Engine, key: usize, expires_at: i64) {
    let item = json!({
        "k": {"S": key.to_string()},
        "expires_at": {"N": expires_at.to_string()},
        "text": {"S": "x".repeat(300_000)},
    });
    call(
        engine,
        "PutItem",
        &json!({"TableName": "things", "Item": item}),
    );
}

/// Returns the size of the database file and of its write-ahead log.
fn file_bytes(file: &Path) -> u64 {
    ["", "-wal"]
        .map(|end| std::fs::metadata(format!("{}{end}", file.display())).map_or(0, |it| it.len()))
        .iter()
        .sum()
}

#[test]
fn compaction_shrinks_file_and_keeps_items() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("dynamodb.sqlite");
    let engine = Engine::open(&file).unwrap();
    create_expiring_table(&engine);
    let past = tidemark_aws::Clock::system().now().timestamp() - 60;

    assert!(!engine.compact().unwrap(), "the file has no free space yet");
    put(&engine, 0, past + 3600);
    (1..40).for_each(|key| put(&engine, key, past));
    assert!(!engine.compact().unwrap(), "all space is in use");

    assert_eq!(engine.sweep_expired().unwrap(), 39);
    let before = file_bytes(&file);
    assert!(engine.compact().unwrap());
    let after = file_bytes(&file);
    assert!(
        before > 8_000_000 && after < 2_000_000,
        "{before} bytes, then {after}"
    );

    let get = json!({"TableName": "things", "Key": {"k": {"S": "0"}}}).to_string();
    let kept = engine.call("GetItem", get.as_bytes());
    assert!(kept.body.len() > 300_000);
    assert!(
        !engine.compact().unwrap(),
        "the free space has been released already"
    );
}
