//! Telling subscribers of decided conflicts, §5.5: each decision at least once, nothing else,
//! whatever SNS and the stream do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tidemark::{
    engine::http::{CallFate, Hook, NoHook},
    template::Template,
    topic::{PublishedMessage, rejection},
};
use tidemark_tests::{Script, Stack, hooks::Moment, stack::stream_event};

use super::{admin, conflicted, item, rejected, resolve, shown};

/// Runs the notify function on these records; gives the sequence number from which the stream is to
/// deliver again.
async fn notify(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> Option<String> {
    let context = stack.context("notify", hook);
    let response = tidemark_notify::handle(&context, stream_event(records))
        .await
        .expect("a response");
    assert!(response.batch_item_failures.len() < 2);
    response
        .batch_item_failures
        .into_iter()
        .next()
        .and_then(|failure| failure.item_identifier)
}

/// Conflicts about these meters, each decided; gives their ids and the records of their table's
/// stream, with nobody told yet.
async fn decided(stack: &Stack, meters: &[&str]) -> (Vec<String>, Vec<Value>) {
    let mut ids = Vec::new();
    for meter in meters {
        let id = conflicted(stack, meter).await;
        resolve(stack, &id, &json!({"resolution": "accept_client"}))
            .await
            .ok();
        ids.push(id);
    }
    // Counting what a device opened writes a row of its own.
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

fn is_decision(record: &Value) -> bool {
    record["eventName"] == "MODIFY" && record["dynamodb"]["NewImage"]["status"]["S"] == "resolved"
}

fn number(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"]
        .as_str()
        .expect("a number")
        .to_owned()
}

fn message(published: &PublishedMessage) -> Value {
    serde_json::from_str(&published.message).expect("JSON")
}

/// The conflicts that subscribers were told of, in turn.
fn told(stack: &Stack) -> Vec<Value> {
    stack
        .topic
        .published()
        .iter()
        .map(|published| message(published)["conflict_id"].clone())
        .collect()
}

/// A hook that answers each `Publish` whose body has `word` with a refusal.
fn refusing(word: &'static str, status: u16, code: &'static str) -> Arc<Script> {
    Arc::new(Script::new(
        move |_, operation, body, moment| match moment {
            Moment::Before if operation == "Publish" && body.contains(word) => {
                CallFate::Reply(rejection(status, code, "no"))
            }
            _ => CallFate::Continue,
        },
    ))
}

#[tokio::test]
async fn a_decision_is_told_once_whichever_door_it_came_through() {
    let stack = Stack::new();
    let by_api = conflicted(&stack, "m-1").await;
    let directly = conflicted(&stack, "m-2").await;
    stack.settle().await;
    assert_eq!(
        stack.topic.published(),
        [],
        "a conflict that waits is not told of"
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
        .ok(); // the same again
    stack.settle().await;

    let published = stack.topic.published();
    assert_eq!(published.len(), 2);
    for (published, id, meter, by, response) in [
        (&published[0], &by_api, "m-1", "root", &response),
        (&published[1], &directly, "m-2", "ops", &direct),
    ] {
        let expected = json!({
            "event": "conflict_resolved", "conflict_id": id, "tenant": "acme", "user": "ana", "device_id": "phone",
            "channel": "tenant", "resource_type": "meter", "resource_id": meter, "resolution": response["resolution"],
            "resolved_by": by, "resolved_at": response["resolved_at"], "server_version": 3,
        });
        assert_eq!(
            message(published),
            expected,
            "and nothing of a payload or a note"
        );
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
}

#[tokio::test]
async fn what_a_policy_decides_at_once_is_told_by_the_answer_and_no_message() {
    for policy in ["client_wins", "server_wins"] {
        let catalog = format!("[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = '{policy}'");
        let stack = Stack::configured(&[("CATALOG", &catalog)]);
        let office = stack.device("office", "pc");
        office
            .push_one(item("create", "m-1", 0, json!({"reading": 44})))
            .await;
        office
            .push_one(item("update", "m-1", 1, json!({"reading": 50})))
            .await;
        let mut late = item("update", "m-1", 1, json!({"reading": 42}));
        late["client_version"] = 2.into();
        let result = stack.device("ana", "phone").push_one(late).await;
        let id = result["conflict_id"].as_str().expect("a conflict");
        assert_eq!(shown(&stack, id).await["status"], "resolved");
        stack.settle().await;
        assert_eq!(stack.topic.published(), [], "{policy}");
    }
}

#[tokio::test]
async fn a_decision_that_makes_no_resource_is_told() {
    let stack = Stack::new();
    stack
        .device("office", "pc")
        .push_one(item("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let id = rejected(&stack, item("create", "m-2", 0, json!({"code": "A"}))).await;
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
async fn edits_that_join_and_payloads_in_rows_of_their_own_are_not_told_of() {
    let stack = Stack::new();
    let large = json!({"text": "x".repeat(200_000)});
    let id = super::conflicted_by(&stack, "m-1", large.clone()).await;
    let mut joining = item("update", "m-1", 1, large);
    joining["client_version"] = 2.into();
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
    assert_eq!(told(&stack), [json!(id)]);
    assert!(stack.dead_letter().await.is_empty());
}

/// The filter only spares invocations: what it keeps away is what the function would not tell of.
#[tokio::test]
async fn the_filter_of_the_mapping_lets_exactly_the_decisions_through() {
    let stack = Stack::new();
    decided(&stack, &["m-1", "m-2"]).await;
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
            is_decision(record),
            "{}",
            record["eventName"]
        );
    }
    assert_eq!(
        records.iter().filter(|record| is_decision(record)).count(),
        2
    );
}

/// Whether a filter's pattern admits a record: a list holds the values that a field may have.
fn admits(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, pattern)| admits(pattern, &record[name])),
        Value::Array(allowed) => allowed.contains(record),
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_sns_loses_nothing_and_does_not_hold_up_the_change_log() {
    let down = Arc::new(AtomicBool::new(true));
    let hook = {
        let down = Arc::clone(&down);
        Script::new(move |_, operation, _, moment| {
            let fails =
                operation == "Publish" && moment == Moment::Before && down.load(Ordering::SeqCst);
            if fails {
                CallFate::Reply(rejection(500, "InternalError", "down"))
            } else {
                CallFate::Continue
            }
        })
    };
    let stack = Stack::new().streaming(Arc::new(hook));
    let ids = [
        conflicted(&stack, "m-1").await,
        conflicted(&stack, "m-2").await,
    ];
    let mut phone = stack.device("ana", "phone");
    phone.pull().await;
    for id in &ids {
        resolve(&stack, id, &json!({"resolution": "accept_client"}))
            .await
            .ok();
    }
    let everyone_pulls = async {
        for decided in 0.. {
            if decided == 600
                || phone
                    .pull()
                    .await
                    .iter()
                    .any(|change| change["conflict"]["id"] == ids[1].as_str())
            {
                return decided < 600;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    };
    tokio::select! {
        () = stack.settle() => panic!("nobody was told, and it was not tried again"),
        was_pulled = everyone_pulls => assert!(was_pulled),
    }
    assert_eq!(stack.topic.published(), []);
    down.store(false, Ordering::SeqCst);
    stack.settle().await;
    assert_eq!(told(&stack), ids.map(Value::from));
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_record_that_failed_waits_for_it() {
    let stack = Stack::new();
    let (ids, records) = decided(&stack, &["m-1", "m-2", "m-3"]).await;
    let decisions: Vec<&Value> = records
        .iter()
        .filter(|record| is_decision(record))
        .collect();
    let outages: [(u16, &'static str); 4] = [
        (500, "InternalError"),
        (403, "AuthorizationError"),
        (404, "NotFound"),
        (429, "Throttled"),
    ];
    for (at, (status, code)) in outages.into_iter().enumerate() {
        let failed = notify(&stack, &records, refusing("m-2", status, code)).await;
        assert_eq!(failed, Some(number(decisions[1])), "{code}");
        assert_eq!(
            told(&stack).len(),
            at + 1,
            "{code}: only the first was told"
        );
    }
    let failed = notify(
        &stack,
        &records,
        Arc::new(Script::new(|_, _, _, _| CallFate::Lose)),
    )
    .await;
    assert_eq!(failed, Some(number(decisions[0])));
    let from = records
        .iter()
        .position(|record| record == decisions[1])
        .expect("it");
    assert_eq!(
        notify(&stack, &records[from..], Arc::new(NoHook)).await,
        None
    );
    assert_eq!(told(&stack)[4..], [json!(ids[1]), json!(ids[2])]);
    assert!(stack.dead_letter().await.is_empty());
}

#[tokio::test]
async fn a_record_that_comes_again_is_told_again_in_the_same_words() {
    let stack = Stack::new();
    let (_, records) = decided(&stack, &["m-1"]).await;
    assert_eq!(notify(&stack, &records, Arc::new(NoHook)).await, None);
    stack.advance(chrono::Duration::hours(2));
    assert_eq!(notify(&stack, &records, Arc::new(NoHook)).await, None);
    let published = stack.topic.published();
    assert!(
        published.len() == 2 && published[0] == published[1],
        "{published:?}"
    );
}

#[tokio::test]
async fn what_can_never_be_told_is_set_aside_and_the_rest_is_told() {
    let stack = Stack::new();
    let (ids, mut records) = decided(&stack, &["m-1", "m-2", "m-3"]).await;
    let decision = records
        .iter()
        .position(|record| record.to_string().contains("m-1") && is_decision(record))
        .expect("it");
    records[decision]["dynamodb"]["NewImage"]["outcome"]["M"]["resolved_at"] =
        json!({"S": "poison"});
    records.insert(2, json!({"not": "a record"}));
    for code in [
        "InvalidParameter",
        "ParameterValueInvalid",
        "ValidationException",
    ] {
        assert_eq!(
            notify(&stack, &records, refusing("m-2", 400, code)).await,
            None,
            "{code}"
        );
    }
    assert_eq!(
        told(&stack),
        [&ids[2], &ids[2], &ids[2]].map(|id| json!(id))
    );
    let aside = stack.dead_letter().await;
    assert!(aside.keys().all(|key| key.starts_with("set-aside/notify/")));
    let kept: Vec<&Value> = aside.values().map(|object| &object["record"]).collect();
    assert_eq!(kept.len(), 3, "each once");
    assert!(kept.contains(&&records[decision]) && kept.contains(&&records[2]));
    assert!(kept.iter().any(|record| record.to_string().contains("m-2")));
}

#[tokio::test(start_paused = true)]
async fn what_can_neither_be_told_nor_set_aside_is_delivered_again() {
    let stack = Stack::new();
    let (_, mut records) = decided(&stack, &["m-1", "m-2"]).await;
    records[1]["dynamodb"]["NewImage"]["outcome"] = json!({"S": "poison"});
    assert!(is_decision(&records[1]));
    let lost = Script::new(|_, operation, _, _| {
        if operation == "PutObject" {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    });
    assert_eq!(
        notify(&stack, &records, Arc::new(lost)).await,
        Some(number(&records[1]))
    );
    assert_eq!(notify(&stack, &records, Arc::new(NoHook)).await, None);
    assert_eq!(
        (stack.dead_letter().await.len(), told(&stack).len()),
        (1, 1)
    );
}

#[tokio::test]
async fn names_of_any_characters_are_told() {
    let stack = Stack::new();
    let (user, device) = ("an\u{1}a \"&=\\é", "ph\u{ffff}one");
    let office = stack.device("office", "pc");
    office
        .push_one(item("create", "m-1", 0, json!({"reading": 44})))
        .await;
    office
        .push_one(item("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let result = stack
        .device(user, device)
        .push_one(item("update", "m-1", 1, json!({"reading": 42})))
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
        "SNS would refuse the others"
    );
    assert!(stack.dead_letter().await.is_empty());
}

#[tokio::test]
async fn without_a_topic_nobody_is_told_and_the_stream_goes_on() {
    let stack = Stack::configured(&[("NOTIFICATION_TOPIC", "")]);
    let (_, records) = decided(&stack, &["m-1", "m-2"]).await;
    assert!(records.len() > 2);
    stack.settle().await;
    assert_eq!(stack.topic.published(), []);
    assert!(
        stack.stream_records_of("conflicts").len() < 2,
        "the newest record stays"
    );
    assert!(stack.dead_letter().await.is_empty());
    let conflicts = stack
        .get("conflicts?status=resolved", &admin(&stack))
        .await
        .ok();
    assert_eq!(conflicts["conflicts"].as_array().map(Vec::len), Some(2));
}
