//! Notifications of resolved conflicts (§5.5): each resolution is published, and nothing else is.

mod failures;

use rstest::rstest;
use serde_json::{Value, json};
use tidemark::{template::Template, topic::PublishedMessage};
use tidemark_tests::Stack;

use super::{admin, conflicted, meter, rejected, resolve, shown};

/// Creates and resolves a conflict about each of these meters. Returns their ids and the stream
/// records of `conflicts`, before any notification is published.
async fn resolve_all(stack: &Stack, meters: &[&str]) -> (Vec<String>, Vec<Value>) {
    let mut ids = Vec::new();
    for meter in meters {
        let id = conflicted(stack, meter).await;
        resolve(stack, &id, &json!({"resolution": "accept_client"}))
            .await
            .ok();
        ids.push(id);
    }

    // The table also contains the number of conflicts that each device has opened.
    let is_conflict = |record: &Value| record["dynamodb"]["NewImage"]["id"].is_object();
    (
        ids,
        stack
            .stream_records_of("conflicts")
            .into_iter()
            .filter(is_conflict)
            .collect(),
    )
}

fn is_resolution(record: &Value) -> bool {
    record["eventName"] == "MODIFY" && record["dynamodb"]["NewImage"]["status"]["S"] == "resolved"
}

fn message(published: &PublishedMessage) -> Value {
    serde_json::from_str(&published.message).expect("JSON")
}

/// Returns the ids of the conflicts whose resolution was published, in order.
fn published_ids(stack: &Stack) -> Vec<Value> {
    stack
        .topic
        .published()
        .iter()
        .map(|published| message(published)["conflict_id"].clone())
        .collect()
}

/// Returns the message about the resolution of a conflict of Ana's phone about a meter. `response`
/// is the response to the resolution. The message omits its payload and its note.
fn expected_message(id: &str, meter: &str, response: &Value) -> Value {
    json!({
        "event": "conflict_resolved", "conflict_id": id, "tenant": "acme", "user": "ana", "device_id": "phone",
        "channel": "tenant", "resource_type": "meter", "resource_id": meter, "resolution": response["resolution"],
        "resolved_by": response["resolved_by"], "resolved_at": response["resolved_at"], "server_version": 3,
    })
}

/// Asserts the topic of a message about a conflict of Ana's phone, and the attributes by which a
/// subscriber filters.
fn assert_addressed(published: &PublishedMessage) {
    let attributes = [
        ("device_id", "phone"),
        ("event", "conflict_resolved"),
        ("tenant", "acme"),
        ("user", "ana"),
    ];
    assert!(
        published
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .eq(attributes)
    );
    assert_eq!(published.topic, "notification");
}

#[tokio::test]
async fn resolution_is_published_once_per_entry_point() {
    let stack = Stack::new();
    let by_api = conflicted(&stack, "m-1").await;
    let directly = conflicted(&stack, "m-2").await;
    stack.settle().await;
    assert_eq!(
        stack.topic.published(),
        [],
        "an open conflict is not published"
    );

    let response = resolve(
        &stack,
        &by_api,
        &json!({"resolution": "accept_client", "note": "for the log"}),
    )
    .await
    .ok();
    let decision = json!({"conflict_id": directly, "tenant": "acme", "resolved_by": "ops", "resolution": "accept_server"});
    let direct = stack.invoke("resolve", &decision).await;
    resolve(&stack, &by_api, &json!({"resolution": "accept_client"}))
        .await
        .ok(); // an idempotent replay
    stack.settle().await;

    let published = stack.topic.published();
    assert_eq!(published.len(), 2);
    for (published, id, meter, by, response) in [
        (&published[0], &by_api, "m-1", "root", &response),
        (&published[1], &directly, "m-2", "ops", &direct),
    ] {
        assert_eq!(response["resolved_by"], by);
        assert_eq!(
            message(published),
            expected_message(id, meter, response),
            "without the payload and the note"
        );
        assert_addressed(published);
    }
}

#[rstest]
#[case::client_wins("client_wins")]
#[case::server_wins("server_wins")]
#[tokio::test]
async fn policy_resolutions_are_not_published(#[case] policy: &str) {
    let catalog = format!("[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = '{policy}'");
    let stack = Stack::configured(&[("CATALOG", &catalog)]);
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 44})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;

    let late = meter("update", "m-1", 1, json!({"reading": 42})).version(2);
    let result = stack.device("ana", "phone").push_one(late).await;
    let id = result["conflict_id"].as_str().expect("a conflict");
    assert_eq!(shown(&stack, id).await["status"], "resolved");

    stack.settle().await;
    assert_eq!(stack.topic.published(), [], "{policy}");
}

#[tokio::test]
async fn resolution_without_a_resource_is_published() {
    let stack = Stack::new();
    stack
        .device("office", "pc")
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;

    let id = rejected(&stack, meter("create", "m-2", 0, json!({"code": "A"}))).await;
    resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();

    stack.settle().await;
    assert_eq!(stack.rows("resources").len(), 1);
    let published = stack.topic.published();
    assert_eq!(published.len(), 1);
    let message = message(&published[0]);
    assert_eq!(
        [&message["conflict_id"], &message["server_version"]],
        [&json!(id), &json!(0)]
    );
}

#[tokio::test]
async fn joined_edits_and_parts_are_not_published() {
    let stack = Stack::new();
    let large = json!({"text": "x".repeat(200_000)});
    let id = super::conflicted_by(&stack, "m-1", large.clone()).await;
    let joining = meter("update", "m-1", 1, large).version(2);
    assert_eq!(
        stack.device("ana", "phone").push_one(joining).await["conflict_id"],
        id.as_str()
    );

    stack.settle().await;
    assert_eq!(stack.topic.published(), []);
    resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    stack.settle().await;
    assert_eq!(published_ids(&stack), [json!(id)]);
    assert!(stack.dead_letters().await.is_empty());
}

/// The event filter only saves invocations: it excludes exactly the records that the function would
/// not publish.
#[tokio::test]
async fn event_filter_admits_exactly_the_resolutions() {
    let stack = Stack::new();
    resolve_all(&stack, &["m-1", "m-2"]).await;
    conflicted(&stack, "m-3").await;
    let records = stack.stream_records_of("conflicts");

    let mappings = Template::built_in()
        .and_then(|template| template.stream_mappings())
        .expect("mappings");
    let mapping = mappings
        .iter()
        .find(|mapping| mapping.function == "notify")
        .expect("a mapping");
    assert_eq!(
        (mapping.table.as_str(), mapping.reports_item_failures),
        ("conflicts", true)
    );

    let patterns: Vec<Value> = mapping
        .filters
        .iter()
        .map(|filter| serde_json::from_str(filter).expect("JSON"))
        .collect();

    for record in &records {
        assert_eq!(
            patterns.iter().any(|pattern| admits(pattern, record)),
            is_resolution(record),
            "{}",
            record["eventName"]
        );
    }
    assert_eq!(
        records
            .iter()
            .filter(|record| is_resolution(record))
            .count(),
        2
    );
}

/// Returns whether a filter pattern admits a record. A list contains the values that a field may
/// have.
fn admits(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, pattern)| admits(pattern, &record[name])),
        Value::Array(allowed) => allowed.contains(record),
        _ => false,
    }
}

#[tokio::test]
async fn arbitrary_characters_in_names_are_published() {
    let stack = Stack::new();
    let (user, device) = ("an\u{1}a \"&=\\é", "ph\u{ffff}one");
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 44})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let result = stack
        .device(user, device)
        .push_one(meter("update", "m-1", 1, json!({"reading": 42})))
        .await;

    let id = result["conflict_id"].as_str().expect("a conflict");
    resolve(&stack, id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack.settle().await;

    let published = stack.topic.published();
    let message = message(&published[0]);
    assert_eq!(
        [&message["user"], &message["device_id"]],
        [&json!(user), &json!(device)]
    );
    assert_eq!(
        published[0].attributes.keys().collect::<Vec<_>>(),
        ["event", "tenant"],
        "SNS would reject the other attributes"
    );
    assert!(stack.dead_letters().await.is_empty());
}

#[tokio::test]
async fn missing_topic_disables_notifications() {
    let stack = Stack::configured(&[("NOTIFICATION_TOPIC", "")]);
    let (_, records) = resolve_all(&stack, &["m-1", "m-2"]).await;
    assert!(records.len() > 2);

    stack.settle().await;
    assert_eq!(stack.topic.published(), []);
    assert!(
        stack.stream_records_of("conflicts").len() < 2,
        "the newest record stays"
    );
    assert!(stack.dead_letters().await.is_empty());
    let conflicts = stack
        .get("conflicts?status=resolved", &admin(&stack))
        .await
        .ok();
    assert_eq!(conflicts["conflicts"].as_array().map(Vec::len), Some(2));
}
