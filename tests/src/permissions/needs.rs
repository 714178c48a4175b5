//! Which rights a call needs: the service's own rules, as far as functions make such calls. A call
//! that is not known here stops the test.

use serde_json::Value;
use tidemark::engine::{Reply, http::Call};

/// Folders of the buckets and how many parts of a key name one: a right to objects ends there.
const FOLDERS: [(&str, usize); 3] = [("incoming", 1), ("uploads", 1), ("set-aside", 2)];

/// What a call needs, as (action, resource).
pub(super) fn permissions(call: &Call<'_>) -> Vec<(String, String)> {
    let operation = call.operation;
    match operation {
        "PutItem" | "GetItem" | "UpdateItem" | "DeleteItem" | "Query" | "Scan" => {
            vec![dynamodb(operation, table(&body(call)))]
        }
        "BatchGetItem" => tables_of(&body(call))
            .map(|table| dynamodb("BatchGetItem", table))
            .collect(),
        "TransactGetItems" | "TransactWriteItems" => list(&body(call)["TransactItems"])
            .flat_map(transaction_item)
            .collect(),
        "BatchExecuteStatement" => list(&body(call)["Statements"])
            .map(|it| statement(&it["Statement"]))
            .collect(),
        "ExecuteStatement" => vec![statement(&body(call)["Statement"])],
        "HeadObject" | "GetObject" => vec![("s3:GetObject".to_owned(), object(call.body))],
        "ListObjectsV2" => vec![("s3:ListBucket".to_owned(), listing(call.body))],
        "PutObject" => vec![("s3:PutObject".to_owned(), object(call.body))],
        // From where uploads arrive to where they are kept.
        "CopyObject" => {
            vec![
                ("s3:GetObject".to_owned(), object(b"/media/incoming/")),
                ("s3:PutObject".to_owned(), object(call.body)),
            ]
        }
        "Publish" => vec![("sns:Publish".to_owned(), topic(call.body))],
        _ => panic!("which rights does {operation} need? tests/src/rights/needs.rs does not know"),
    }
}

/// What a call needs to be answered like this. Who may not list the folder of an object is not told
/// that it is missing: S3 answers 403.
pub(super) fn permissions_for_response(call: &Call<'_>, reply: &Reply) -> Vec<(String, String)> {
    match call.operation {
        "HeadObject" | "GetObject" if reply.status == 404 => {
            vec![("s3:ListBucket".to_owned(), object(call.body))]
        }
        _ => Vec::new(),
    }
}

fn body(call: &Call<'_>) -> Value {
    serde_json::from_slice(call.body).unwrap()
}

fn list(values: &Value) -> std::slice::Iter<'_, Value> {
    values.as_array().unwrap().iter()
}

fn dynamodb(action: &str, resource: String) -> (String, String) {
    (format!("dynamodb:{action}"), resource)
}

/// The table that a request or a part of one is about, or the index that it names.
fn table(request: &Value) -> String {
    let table = format!("table/{}", request["TableName"].as_str().unwrap());
    request["IndexName"]
        .as_str()
        .map_or(table.clone(), |index| format!("{table}/index/{index}"))
}

fn tables_of(request: &Value) -> impl Iterator<Item = String> {
    let tables = request["RequestItems"].as_object().unwrap().keys();
    tables
        .map(|table| format!("table/{table}"))
        .collect::<Vec<_>>()
        .into_iter()
}

/// A part of a transaction needs what it would need alone.
fn transaction_item(item: &Value) -> Vec<(String, String)> {
    let parts = item.as_object().unwrap().iter().map(|(kind, part)| {
        let action = match kind.as_str() {
            "Put" => "PutItem",
            "Update" => "UpdateItem",
            "Delete" => "DeleteItem",
            "ConditionCheck" => "ConditionCheckItem",
            "Get" => "GetItem",
            _ => panic!("a transaction with {kind}"),
        };
        dynamodb(action, table(part))
    });
    parts.collect()
}

/// PartiQL has actions of its own.
fn statement(text: &Value) -> (String, String) {
    let text = text.as_str().unwrap();
    let action = match text.split(' ').next().unwrap() {
        "INSERT" => "PartiQLInsert",
        "UPDATE" => "PartiQLUpdate",
        "DELETE" => "PartiQLDelete",
        _ => panic!("which rights does a statement like this need? {text}"),
    };
    dynamodb(action, format!("table/{}", text.split('"').nth(1).unwrap()))
}

/// What a listing (`/bucket/prefix`) asks for: the objects below a prefix, which a right to list is
/// bounded to.
fn listing(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    format!("bucket/{}*", path.trim_start_matches('/'))
}

/// The objects of the folder that a path (`/bucket/key`) lies in.
fn object(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap();
    let folder = FOLDERS
        .iter()
        .find(|(folder, _)| key.split('/').next() == Some(folder));
    let (_, parts) =
        folder.unwrap_or_else(|| panic!("a call about {path}, which lies in no known folder"));
    let folder: Vec<&str> = key.split('/').take(*parts).collect();
    format!("bucket/{bucket}/{}/*", folder.join("/"))
}

/// The topic that a form names. An ARN ends with the topic's name.
fn topic(form: &[u8]) -> String {
    let form = String::from_utf8_lossy(form);
    let arn = form
        .split('&')
        .find_map(|field| field.strip_prefix("TopicArn="))
        .unwrap();
    format!("topic/{}", arn.rsplit("%3A").next().unwrap())
}
