//! The embedded DynamoDB alone, as emulators and tools use it.

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::{Runner, run};

fn call(client: &mut Client, service: &str, operation: &str, request: &Value) -> Value {
    let target = format!("{service}.{operation}");
    let response = client
        .send(
            "POST /",
            &[("x-amz-target", &target)],
            request.to_string().as_bytes(),
        )
        .unwrap();
    assert_eq!(response.status, 200, "{operation}: {response:?}");
    response.json()
}

fn tables(client: &mut Client) -> Value {
    call(client, "DynamoDB_20120810", "ListTables", &json!({}))["TableNames"].clone()
}

fn create_table(client: &mut Client) -> Value {
    let request = json!({
        "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
    });
    call(client, "DynamoDB_20120810", "CreateTable", &request)["TableDescription"]["LatestStreamArn"].clone()
}

#[test]
fn standalone_engine_serves_tables_and_streams() {
    let home = tempfile::tempdir().unwrap();
    let engine = Runner::dynamodb(home.path(), &[]);
    let mut client = engine.client();
    assert_eq!(
        tables(&mut client),
        json!([]),
        "the engine starts without tables"
    );
    let stream = create_table(&mut client);
    let item = json!({"k": {"S": "a"}, "n": {"N": "1"}});
    call(
        &mut client,
        "DynamoDB_20120810",
        "PutItem",
        &json!({"TableName": "things", "Item": item}),
    );
    assert_eq!(client.scan("things"), std::slice::from_ref(&item));

    let described = call(
        &mut client,
        "DynamoDBStreams_20120810",
        "DescribeStream",
        &json!({"StreamArn": stream}),
    );
    let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
    let from = json!({"StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = call(
        &mut client,
        "DynamoDBStreams_20120810",
        "GetShardIterator",
        &from,
    );
    let records = call(
        &mut client,
        "DynamoDBStreams_20120810",
        "GetRecords",
        &iterator,
    );
    assert_eq!(
        records["Records"][0]["dynamodb"]["NewImage"], item,
        "{records}"
    );

    // The API is not served.
    for request in ["GET /health", "POST /api/v1/mobile/sync/push", "GET /"] {
        assert_eq!(
            client.send(request, &[], b"").unwrap().status,
            404,
            "{request}"
        );
    }

    let ended = engine.stop("TERM");
    assert_eq!(
        (ended.code, ended.stdout.ends_with("stopping\n")),
        (Some(0), true),
        "{ended:?}"
    );
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().count(),
        0,
        "without --data it stores no files"
    );
}

#[test]
fn tables_are_kept_in_given_folder() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let kept = ["--data", folder.to_str().unwrap()];
    let engine = Runner::dynamodb(home.path(), &kept);
    create_table(&mut engine.client());

    // The folder is locked like that of a runner.
    let second = run(
        home.path(),
        &[&["dynamodb", "--port", "0"][..], &kept].concat(),
    );
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second
            .stderr
            .contains("is in use by another running tidemark"),
        "{second:?}"
    );

    assert_eq!(engine.stop("INT").code, Some(0));
    let again = Runner::dynamodb(home.path(), &kept);
    assert_eq!(tables(&mut again.client()), json!(["things"]));
}
