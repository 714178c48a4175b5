//! The permissions that a call needs, by the rules of the AWS services, for the calls that
//! functions make. An unknown call panics.

use serde_json::Value;
use tidemark::engine::{Reply, http::Call};

/// The first segment of each object key, with the number of key segments that the template's grants
/// include: `set-aside/<function>/*` has two.
const FOLDERS: [(&str, usize); 3] = [("incoming", 1), ("uploads", 1), ("set-aside", 2)];

/// Returns the permissions that a call needs, as (action, resource).
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
        // A copy goes from the folder in which uploads arrive to the folder in which they are kept.
        "CopyObject" => {
            vec![
                ("s3:GetObject".to_owned(), object(b"/media/incoming/")),
                ("s3:PutObject".to_owned(), object(call.body)),
            ]
        }
        "Publish" => vec![("sns:Publish".to_owned(), topic(call.body))],
        _ => panic!(
            "unknown operation {operation}: add its permissions to tests/support/permissions/needs.rs"
        ),
    }
}

/// Returns the permissions that a call needs to receive this reply. Without the permission to list
/// the folder, S3 responds 403 instead of 404 for a missing object.
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

/// Returns the table that a request or a part of a request names, or its index.
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

/// Returns the permissions of a part of a transaction, which equal those of the separate operation.
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

/// PartiQL statements need actions of their own.
fn statement(text: &Value) -> (String, String) {
    let text = text.as_str().unwrap();
    let action = match text.split(' ').next().unwrap() {
        "INSERT" => "PartiQLInsert",
        "UPDATE" => "PartiQLUpdate",
        "DELETE" => "PartiQLDelete",
        _ => panic!("unknown statement: {text}"),
    };
    dynamodb(action, format!("table/{}", text.split('"').nth(1).unwrap()))
}

/// Returns the resource of a listing (`/bucket/prefix`): the objects with the prefix, to which a
/// permission to list is limited.
fn listing(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    format!("bucket/{}*", path.trim_start_matches('/'))
}

/// Returns the objects of the folder that contains a path (`/bucket/key`).
fn object(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap();
    let folder = FOLDERS
        .iter()
        .find(|(folder, _)| key.split('/').next() == Some(folder));
    let (_, parts) = folder.unwrap_or_else(|| panic!("{path} is in no known folder"));
    let folder: Vec<&str> = key.split('/').take(*parts).collect();
    format!("bucket/{bucket}/{}/*", folder.join("/"))
}

/// Returns the topic that a form names. The topic's ARN ends with its name.
fn topic(form: &[u8]) -> String {
    let form = String::from_utf8_lossy(form);
    let arn = form
        .split('&')
        .find_map(|field| field.strip_prefix("TopicArn="))
        .unwrap();
    format!("topic/{}", arn.rsplit("%3A").next().unwrap())
}
