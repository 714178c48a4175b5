//! Tables of earlier builds: what they lack is added once, and their items stay.

use serde_json::json;

use super::*;

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

fn stream_of(engine: &Engine, table: &str) -> Value {
    call(engine, "DescribeTable", &json!({"TableName": table}))["Table"]["LatestStreamArn"].clone()
}

/// The table is as an earlier build created it, without the index.
#[test]
fn missing_index_is_added_once() {
    let (engine, template) = (Engine::memory().unwrap(), Template::built_in().unwrap());
    let mut table = template
        .tables()
        .unwrap()
        .into_iter()
        .find(|table| table.name == "devices")
        .unwrap();

    let create = table.create.as_object_mut().unwrap();
    create.remove("GlobalSecondaryIndexes").unwrap();
    create["AttributeDefinitions"]
        .as_array_mut()
        .unwrap()
        .retain(|attribute| attribute["AttributeName"] != "tenant");
    call(&engine, "CreateTable", &table.create);

    for _ in 0..2 {
        create_tables(&engine, &template).unwrap();
        let row = json!({"pk": {"S": "acme#ana"}, "sk": {"S": "phone"}, "tenant": {"S": "acme"}});
        call(
            &engine,
            "PutItem",
            &json!({"TableName": "devices", "Item": row}),
        );
        let query = json!({"TableName": "devices", "IndexName": "by_tenant", "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": {":tenant": {"S": "acme"}}});
        assert_eq!(call(&engine, "Query", &query)["Items"], json!([row]));
    }
}

/// The table is as an earlier build created it, without a stream.
#[test]
fn missing_stream_is_enabled_once_keeping_items() {
    let (engine, template) = (Engine::memory().unwrap(), Template::built_in().unwrap());
    let mut table = template
        .tables()
        .unwrap()
        .into_iter()
        .find(|table| table.name == "conflicts")
        .unwrap();
    table
        .create
        .as_object_mut()
        .unwrap()
        .remove("StreamSpecification");
    call(&engine, "CreateTable", &table.create);
    let row = json!({"pk": {"S": "acme"}, "sk": {"S": "conf-1"}});
    call(
        &engine,
        "PutItem",
        &json!({"TableName": "conflicts", "Item": row}),
    );

    create_tables(&engine, &template).unwrap();
    let stream = stream_of(&engine, "conflicts");
    assert!(stream.is_string());
    assert_eq!(
        call(&engine, "Scan", &json!({"TableName": "conflicts"}))["Items"],
        json!([row])
    );

    let others = stream_of(&engine, "resources");
    // The ARN of a stream contains the time at which it was enabled.
    std::thread::sleep(std::time::Duration::from_millis(5));
    create_tables(&engine, &template).unwrap();

    assert_eq!(
        (
            stream_of(&engine, "conflicts"),
            stream_of(&engine, "resources")
        ),
        (stream, others)
    );
}
