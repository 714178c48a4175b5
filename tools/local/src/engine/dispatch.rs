//! Maps the name of a DynamoDB operation to dynoxide's method, with a JSON request and response.
//! dynoxide's own HTTP server contains the same table, but it is not public.

mod rejection;

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Reply;

use rejection::rejection;

/// Each line maps the name of an operation on the wire to dynoxide's method.
macro_rules! operations {
    ($($name:literal => $method:ident,)+) => {
        fn route(database: &Database, operation: &str, body: &[u8]) -> Option<Result<Vec<u8>, DynoxideError>> {
            match operation {
                $($name => Some(response(body, |request| database.$method(request))),)+
                _ => None,
            }
        }
    };
}

operations! {
    "CreateTable" => create_table,
    "DeleteTable" => delete_table,
    "DescribeTable" => describe_table,
    "UpdateTable" => update_table,
    "ListTables" => list_tables,
    "TagResource" => tag_resource,
    "UntagResource" => untag_resource,
    "ListTagsOfResource" => list_tags_of_resource,
    "PutItem" => put_item,
    "GetItem" => get_item,
    "DeleteItem" => delete_item,
    "UpdateItem" => update_item,
    "Query" => query,
    "Scan" => scan,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "TransactWriteItems" => transact_write_items,
    "TransactGetItems" => transact_get_items,
    "ExecuteStatement" => execute_statement,
    "ExecuteTransaction" => execute_transaction,
    "BatchExecuteStatement" => batch_execute_statement,
    "UpdateTimeToLive" => update_time_to_live,
    "DescribeTimeToLive" => describe_time_to_live,
    "ListStreams" => list_streams,
    "DescribeStream" => describe_stream,
    "GetShardIterator" => get_shard_iterator,
    "GetRecords" => get_records,
}

/// Runs one operation. A failure becomes DynamoDB's error response.
pub(super) fn run(database: &Database, operation: &str, body: &[u8]) -> Reply {
    match route(database, operation, body) {
        Some(Ok(body)) => Reply { status: 200, body },
        Some(Err(error)) => Reply {
            status: error.status_code(),
            body: error.to_json().into_bytes(),
        },
        None => unknown(operation),
    }
}

/// Returns whether the operation may append a stream record, for which event source mappings are
/// woken.
pub(super) fn may_write(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem"
            | "UpdateItem"
            | "DeleteItem"
            | "BatchWriteItem"
            | "TransactWriteItems"
            | "ExecuteStatement"
            | "ExecuteTransaction"
            | "BatchExecuteStatement"
    )
}

fn unknown(operation: &str) -> Reply {
    Reply::error(
        400,
        "UnknownOperationException",
        &format!("the embedded DynamoDB has no operation {operation:?}"),
    )
}

fn response<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    run: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| rejection(&error.to_string()))?;
    serde_json::to_vec(&run(request)?)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

#[cfg(test)]
mod tests;
