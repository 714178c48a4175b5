//! From an operation's name to dynoxide's method: JSON in, JSON out. dynoxide has the same table in
//! its own HTTP server, which is not public.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Reply;

/// One operation per line: the name on the wire and dynoxide's method.
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

/// Runs one operation and words its failure as DynamoDB does.
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

/// Whether the operation may leave a stream record behind: what the pump is woken for.
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

/// dynoxide's request types mark their refusals with the class DynamoDB answers in; what is not
/// marked is a request of the wrong shape: a missing member is a validation error there, a value of
/// the wrong type is not.
fn rejection(message: &str) -> DynoxideError {
    const VALIDATION: [&str; 3] = ["VALIDATION_AS_READ:", "VALIDATION_REQUEST:", "VALIDATION:"];
    const SERIALIZATION: [&str; 2] = ["SERIALIZATION_AS_READ:", "SERIALIZATION:"];
    let plain = message.split(" at line ").next().unwrap_or(message);
    if let Some(text) = VALIDATION
        .iter()
        .find_map(|marker| plain.strip_prefix(marker))
    {
        return DynoxideError::ValidationException(text.to_owned());
    }
    if let Some(text) = SERIALIZATION
        .iter()
        .find_map(|marker| plain.strip_prefix(marker))
    {
        return DynoxideError::SerializationException(text.to_owned());
    }
    let is_validation = [
        "missing field",
        "unknown variant",
        "invalid type: null",
        "AttributeValue",
    ];
    if is_validation.iter().any(|words| plain.contains(words)) {
        DynoxideError::ValidationException(plain.to_owned())
    } else {
        DynoxideError::SerializationException(plain.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Engine;

    #[test]
    fn an_unknown_operation_is_answered_not_panicked_over() {
        let reply = Engine::memory().unwrap().call("MakeCoffee", b"{}");
        assert_eq!(reply.status, 400);
        assert!(
            String::from_utf8(reply.body)
                .unwrap()
                .contains("UnknownOperationException")
        );
    }

    #[test]
    fn a_body_that_is_not_json_is_answered_as_dynamodb_does() {
        let reply = Engine::memory().unwrap().call("PutItem", b"{");
        assert_eq!(reply.status, 400);
        assert!(
            String::from_utf8(reply.body)
                .unwrap()
                .contains("SerializationException")
        );
    }
}
