//! The real SDK on the engine: the operations that the functions depend on, and the effects of
//! hooks. The PartiQL failures that push depends on are verified here verbatim.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, BatchStatementResponse, ConditionCheck, Put,
    ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use super::*;
use crate::template::Template;

const INSERT: &str = "INSERT INTO \"resources\" VALUE {'pk': ?, 'sk': ?, 'server_version': ?}";
const UPDATE: &str = "UPDATE \"resources\" SET server_version = ? SET body = ? WHERE pk = ? AND sk = ? AND server_version = ?";

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: u32) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn engine() -> Engine {
    let engine = Engine::memory().unwrap();
    crate::deployment::create_tables(&engine, &Template::built_in().unwrap()).unwrap();
    engine
}

fn client() -> Client {
    dynamodb_client(EngineClient::new(engine()))
}

pub(super) fn insert(key: &str, version: u32) -> BatchStatementRequest {
    statement(INSERT, [s("c"), s(key), n(version)])
}

fn update(key: &str, from: u32, body: AttributeValue) -> BatchStatementRequest {
    statement(UPDATE, [n(from + 1), body, s("c"), s(key), n(from)])
}

fn statement<const N: usize>(text: &str, parameters: [AttributeValue; N]) -> BatchStatementRequest {
    BatchStatementRequest::builder()
        .statement(text)
        .set_parameters(Some(parameters.to_vec()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .unwrap()
}

pub(super) async fn batch<const N: usize>(
    client: &Client,
    statements: [BatchStatementRequest; N],
) -> (Vec<BatchStatementResponse>, f64) {
    let request = client
        .batch_execute_statement()
        .set_statements(Some(statements.to_vec()));
    let response = request
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();

    let units = response
        .consumed_capacity()
        .iter()
        .filter_map(|table| table.capacity_units())
        .sum();
    (response.responses().to_vec(), units)
}

pub(super) fn code(response: &BatchStatementResponse) -> &str {
    response
        .error()
        .and_then(|error| error.code())
        .map_or("ok", |code| code.as_str())
}

#[tokio::test]
async fn put_item_is_returned_by_get() {
    let client = client();
    let put = client
        .put_item()
        .table_name("resources")
        .item("pk", s("c"))
        .item("sk", s("a"))
        .item("server_version", n(1));
    let put = put
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();

    assert_eq!(
        put.consumed_capacity()
            .and_then(|capacity| capacity.capacity_units()),
        Some(1.0)
    );

    let get = client
        .get_item()
        .table_name("resources")
        .key("pk", s("c"))
        .key("sk", s("a"))
        .consistent_read(true);
    assert_eq!(
        get.send().await.unwrap().item().unwrap()["server_version"],
        n(1)
    );
}

#[tokio::test]
async fn batch_statements_succeed_or_fail_independently() {
    let client = client();
    let (inserted, units) = batch(&client, [insert("a", 1), insert("b", 1)]).await;
    assert_eq!(
        (inserted.iter().map(code).collect::<Vec<_>>(), units),
        (vec!["ok", "ok"], 2.0)
    );

    let (mixed, _) = batch(
        &client,
        [
            insert("a", 1),
            insert("c", 1),
            update("b", 1, s("x")),
            update("ghost", 1, s("x")),
        ],
    )
    .await;
    assert_eq!(
        mixed.iter().map(code).collect::<Vec<_>>(),
        ["DuplicateItem", "ok", "ok", "ConditionalCheckFailed"]
    );
    assert!(mixed[0].error().unwrap().item().is_none());
    assert!(mixed[3].error().unwrap().item().is_none());
}

#[tokio::test]
async fn stale_batch_update_returns_current_item() {
    let client = client();
    batch(&client, [insert("a", 7)]).await;
    let (stale, _) = batch(&client, [update("a", 5, s("x"))]).await;
    assert_eq!(code(&stale[0]), "ConditionalCheckFailed");
    assert_eq!(
        stale[0].error().unwrap().item().unwrap()["server_version"],
        n(7)
    );
}

#[tokio::test]
async fn update_accepts_every_parameter_type() {
    let client = client();
    batch(&client, [insert("m", 1), insert("b", 1), insert("l", 1)]).await;
    let map = AttributeValue::M([("k".to_owned(), n(1)), ("t".to_owned(), s("ä\"'"))].into());
    let bytes = AttributeValue::B(Blob::new([0u8, 255, 10]));
    let list = AttributeValue::L(vec![s("x"), AttributeValue::Null(true)]);

    let (set, _) = batch(
        &client,
        [
            update("m", 1, map.clone()),
            update("b", 1, bytes.clone()),
            update("l", 1, list.clone()),
        ],
    )
    .await;
    assert_eq!(set.iter().map(code).collect::<Vec<_>>(), ["ok", "ok", "ok"]);

    for (key, value) in [("m", map), ("b", bytes), ("l", list)] {
        let row = client
            .get_item()
            .table_name("resources")
            .key("pk", s("c"))
            .key("sk", s(key))
            .send()
            .await
            .unwrap();
        assert_eq!(row.item().unwrap()["body"], value);
    }
}

#[tokio::test]
async fn batch_rejects_duplicate_keys() {
    let client = client();
    let twice = client
        .batch_execute_statement()
        .statements(insert("a", 1))
        .statements(insert("a", 2))
        .send()
        .await;
    let error = twice.unwrap_err().into_service_error();
    println!("same key twice: {error:?}");
    assert!(
        error.to_string().contains("Validation") || format!("{error:?}").contains("duplicates")
    );
}

#[tokio::test]
async fn cancelled_transaction_names_failed_condition_and_item() {
    let client = client();
    batch(&client, [insert("head", 3)]).await;

    let put = Put::builder()
        .table_name("changes")
        .item("pk", s("c"))
        .item("sk", s("1"))
        .build()
        .unwrap();
    let check = ConditionCheck::builder()
        .table_name("resources")
        .key("pk", s("c"))
        .key("sk", s("head"))
        .condition_expression("server_version = :v")
        .expression_attribute_values(":v", n(2))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .unwrap();
    let items = vec![
        TransactWriteItem::builder().put(put).build(),
        TransactWriteItem::builder().condition_check(check).build(),
    ];

    let error = client
        .transact_write_items()
        .set_transact_items(Some(items))
        .send()
        .await
        .unwrap_err()
        .into_service_error();

    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) =
        error
    else {
        unreachable!("{error:?}")
    };

    let reasons = cancelled.cancellation_reasons();
    assert_eq!(reasons[0].code(), Some("None"));
    assert_eq!(reasons[1].code(), Some("ConditionalCheckFailed"));
    assert_eq!(reasons[1].item().unwrap()["server_version"], n(3));
}

#[tokio::test]
async fn update_never_creates_an_item() {
    let client = client();
    let text = "UPDATE \"resources\" SET server_version = ? WHERE pk = ? AND sk = ? AND attribute_not_exists(pk)";
    let (fresh, _) = batch(&client, [statement(text, [n(1), s("c"), s("fresh")])]).await;
    assert_eq!(code(&fresh[0]), "ConditionalCheckFailed");
}
