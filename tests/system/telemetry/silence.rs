//! Nothing of what people write is in the logs: stories full of secrets are told with everything
//! logged that the deployed functions can be made to log, and no secret is found there.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tidemark::engine::{Reply, http::NoHook};
use tidemark_core::pack::pack;
use tidemark_tests::{Stack, stack::stream_event};
use tracing::level_filters::LevelFilter;

use super::{CapturedLog, Responder, hear, meter, metrics::assert_valid};

/// Stands wherever a user may write.
const WORD: &str = "Sesame-Open";
/// The same, where a number stands.
const NUMBER: f64 = 86_753.091_5;

/// A payload that is secret, in its names too.
fn secret() -> Value {
    json!({"reading": NUMBER, "owner": WORD, WORD: {"nested": [WORD]}})
}

fn assert_silent(written: &CapturedLog, tokens: &[&str]) {
    let text = written.text();
    for secret in [WORD, &NUMBER.to_string(), "X-Amz-Signature", "eyJ"]
        .iter()
        .chain(tokens)
    {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is in the logs");
    }
    written.metrics().iter().for_each(assert_valid);
}

/// The functions that said something, and what they said.
fn said(written: &CapturedLog) -> (BTreeSet<String>, BTreeSet<String>) {
    let texts = |name: &str| {
        written
            .logs()
            .iter()
            .filter_map(|line| Some(line[name].as_str()?.to_owned()))
            .collect()
    };
    (texts("function"), texts("message"))
}

/// A day on which all goes well, conflicts and their decisions included; everything is asked for
/// that can be read.
async fn day(stack: &Stack) -> Vec<String> {
    let (office, mut phone) = (stack.device("office", "pc"), stack.device("ana", "phone"));
    let root = stack.token("acme", "root", &["admin"], &[]);
    for (id, resolution) in [("m-1", "accept_client"), ("m-2", "manual_merge")] {
        office.push_one(meter("create", id, 0, secret())).await;
        office
            .push_one(meter("update", id, 1, json!({"owner": [WORD, 1]})))
            .await;
        let items = json!([
            meter("update", id, 1, json!({"owner": [WORD, 2]})),
            meter("delete", id, 2, json!({}))
        ]);
        let batch = phone.push_batch(&format!("b-{id}"), &items).await.ok();
        let conflict = batch["results"][0]["conflict_id"].as_str().unwrap();
        let batch = batch["batch_id"].as_str().unwrap();
        for path in [
            format!("conflicts/{conflict}"),
            format!("batches/{batch}"),
            "conflicts".into(),
        ] {
            stack.get(&path, &root).await.ok();
        }
        let payload = (resolution == "manual_merge").then(secret);
        let decision = json!({"resolution": resolution, "note": WORD, "payload": payload});
        stack
            .post(&format!("conflicts/{conflict}/resolve"), &root, &decision)
            .await
            .ok();
        stack
            .post(&format!("batches/{batch}/replay"), &root, &json!({}))
            .await
            .ok();
    }
    let photo = json!({"filename": format!("{WORD}.jpg"), "content_type": "image/jpeg", "content_length": 5});
    let key = stack.post("media/presign", &phone.token, &photo).await.ok()["key"].clone();
    phone
        .push_one(json!({"resource_type": "submission", "action": "create", "client_temp_id": "t-1", "client_version": 0,
            "payload": {"form_id": WORD, "data": secret(), "media": [key, WORD]}}))
        .await;
    stack.settle().await;
    phone.pull().await;
    phone.ack().await.ok();
    for path in ["devices", "audit", "sync/limits"] {
        stack.get(path, &root).await.ok();
    }
    vec![office.token.clone(), phone.token.clone(), root]
}

/// Requests that are refused, each with a secret where something else should stand.
async fn rejections(stack: &Stack) {
    let ana = stack.token("acme", "ana", &[], &[]);
    let root = stack.token("acme", "root", &["admin"], &[]);
    let bodies = [
        json!({"device_id": {"secret": WORD}, "items": [WORD]}),
        json!({"device_id": "phone", "items": WORD, "filename": {"a": WORD}, "resolution": WORD, "limit": WORD, "ack_token": WORD}),
        json!({"device_id": "phone", "items": [], "since_token": WORD, "resolution": "manual_merge", "payload": WORD, "limit": NUMBER}),
        json!({"device_id": "phone", "items": [WORD, NUMBER, {"action": WORD}, meter("create", "m-9", 0, secret())], "note": [WORD]}),
        json!(WORD),
    ];
    for path in [
        "sync/push",
        "sync/pull",
        "sync/ack",
        "media/presign",
        "conflicts/conf-0/resolve",
        "batches/x/replay",
    ] {
        for body in &bodies {
            stack.post(path, &root, body).await;
        }
        for token in [
            None,
            Some(WORD),
            Some(&*format!("{WORD}.{WORD}.{WORD}")),
            Some(&*format!("{ana}{WORD}")),
        ] {
            assert_eq!(
                stack
                    .post_bytes(path, token, format!("{{\"{WORD}").as_bytes())
                    .await
                    .status,
                401
            );
        }
        let cut = format!("{{\"device_id\": \"{WORD}\", \"items\": [{{\"{WORD}\": {NUMBER}");
        stack.post_bytes(path, Some(&root), cut.as_bytes()).await;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {root}")).unwrap(),
        );
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/Sesame-Open"),
        );
        stack.send(path, &headers, WORD.as_bytes()).await;
    }
    for path in [
        "conflicts?status=Sesame-Open",
        "conflicts?cursor=Sesame-Open",
        "audit?limit=Sesame-Open",
    ] {
        assert_eq!(stack.get(path, &root).await.status, 400);
    }
    for event in &bodies {
        stack.invoke("resolve", event).await;
    }
}

/// Rows that somebody spoilt with a secret where something else should stand, in each table; all of
/// them are read.
async fn spoilt_rows(stack: &Stack) {
    let root = stack.token("acme", "root", &["admin"], &[]);
    let packed =
        |value: Value| json!({"B": BASE64_STANDARD.encode(pack(value.to_string().as_bytes()))});
    let spoil = |table: &str, column: &str, value: Value| {
        for mut row in stack.rows(table) {
            if row.get(column).is_some() {
                row[column] = value.clone();
                stack.dynamodb("PutItem", &json!({"TableName": table, "Item": row}));
            }
        }
    };
    spoil("sync_batches", "results", packed(json!([{"index": WORD}])));
    spoil(
        "audit_log",
        "packed",
        packed(json!({"id": "x", "at": "x", "action": WORD})),
    );
    spoil("conflicts", "code", json!({"S": WORD}));
    spoil("devices", "channel:tenant", json!({"S": WORD}));
    spoil(
        "changes",
        "entries",
        packed(json!([{"id": {WORD: NUMBER}}])),
    );
    for path in [
        "conflicts",
        "conflicts?status=resolved",
        "audit",
        "devices?user=ana",
    ] {
        stack.get(path, &root).await;
    }
    let conflicts: Vec<_> = stack
        .conflicts()
        .iter()
        .map(|row| row["id"]["S"].as_str().unwrap().to_owned())
        .collect();
    for id in &conflicts {
        stack.get(&format!("conflicts/{id}"), &root).await;
        stack
            .post(
                &format!("conflicts/{id}/resolve"),
                &root,
                &json!({"resolution": "accept_client"}),
            )
            .await;
    }
    let mut phone = stack.device("ana", "phone");
    for id in ["m-1", "m-2"] {
        let batch =
            tidemark_core::ids::BatchId::derived("acme", "ana", "phone", &format!("b-{id}"))
                .to_string();
        stack.get(&format!("batches/{batch}"), &root).await;
        stack
            .post(&format!("batches/{batch}/replay"), &root, &json!({}))
            .await;
        phone
            .push_batch(
                &format!("b-{id}"),
                &json!([meter("update", id, 1, secret())]),
            )
            .await;
        spoil(
            "sync_items",
            "packed",
            packed(json!({"principal": WORD, "items": secret()})),
        );
    }
    for column in [
        json!({"S": WORD}),
        json!({"M": {WORD: {"S": WORD}}}),
        json!({"L": [{"S": WORD}]}),
    ] {
        for name in [
            "server_version",
            "payload",
            "edits",
            "changed_at",
            "resolutions",
            "deleted",
        ] {
            spoil("resources", name, column.clone());
        }
        phone
            .push(json!([
                meter("update", "m-1", 1, secret()),
                meter("create", "m-2", 0, secret())
            ]))
            .await;
        stack
            .post(
                "sync/pull",
                &phone.token,
                &json!({"since_token": null, "device_id": "tablet"}),
            )
            .await;
        stack.settle().await;
    }
    phone.since = Value::Null;
    stack
        .post(
            "sync/pull",
            &phone.token,
            &json!({"since_token": null, "device_id": "tablet"}),
        )
        .await
        .ok();
}

/// Answers of a service that quote what was sent, in every place of an error that holds text, and
/// answers that do not read.
fn indiscreet() -> Vec<Reply> {
    let reply = |status, body: Value| Reply {
        status,
        body: body.to_string().into_bytes(),
    };
    let xml = |body: &str| Reply {
        status: 400,
        body: body.as_bytes().to_vec(),
    };
    let message = format!("cannot be converted: {WORD}");
    let reason =
        json!({"Code": "ValidationError", "Message": message, "Item": {"payload": {"S": WORD}}});
    vec![
        Reply::error(400, "ValidationException", &message),
        Reply::error(400, "ItemCollectionSizeLimitExceededException", &message),
        Reply::error(400, "NobodyKnowsThis", &message),
        reply(400, json!({"message": message})),
        reply(
            400,
            json!({"__type": "TransactionCanceledException", "Message": message, "CancellationReasons": [reason, reason]}),
        ),
        reply(
            200,
            json!({"Responses": [{"Error": {"Code": "ValidationError", "Message": message}}], "Items": [WORD], "Item": WORD}),
        ),
        xml(&format!(
            "<ErrorResponse><Error><Code>InvalidParameter</Code><Message>{message}</Message></Error></ErrorResponse>"
        )),
        xml(&format!(
            "<Error><Code>NobodyKnowsThis</Code><Message>{message}</Message></Error>"
        )),
        xml(&format!("<html>{WORD}</html>")),
        Reply {
            status: 200,
            body: format!("{{\"Item\": \"{WORD}\", {WORD}").into_bytes(),
        },
    ]
}

/// Stream records that do not read, each in another way.
async fn poison(stack: &Stack) -> Vec<Value> {
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-7", 0, secret()))
        .await;
    let good = stack.stream_records().pop().unwrap();
    let with = |path: &str, value: Value| {
        let mut record = good.clone();
        *record.pointer_mut(path).unwrap() = value;
        record
    };
    vec![
        json!(WORD),
        json!({"eventName": [WORD], "dynamodb": WORD}),
        with("/eventName", json!({"a": WORD})),
        with("/dynamodb/SequenceNumber", json!(WORD)),
        with("/dynamodb/NewImage/server_version", json!({"S": WORD})),
        with(
            "/dynamodb/NewImage/payload",
            json!({"M": {WORD: {"S": WORD}}}),
        ),
        with("/dynamodb/NewImage/edits", json!({"S": WORD})),
    ]
}

#[tokio::test]
async fn a_day_leaves_no_payload_and_no_token_in_the_logs() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    let tokens = day(&stack).await;
    rejections(&stack).await;
    assert_silent(
        &written,
        &tokens.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let (functions, _) = said(&written);
    let all = [
        "ack",
        "batches",
        "changelog",
        "conflicts",
        "notify",
        "presign",
        "pull",
        "push",
        "resolve",
    ];
    assert_eq!(functions, BTreeSet::from(all.map(ToOwned::to_owned)));
}

#[tokio::test]
async fn what_does_not_read_is_not_quoted() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    let mut follower = stack.device("ben", "tablet");
    follower.pull().await;
    day(&stack).await;
    let records = poison(&stack).await;
    let (changelog, notify) = (
        stack.context("changelog", Arc::new(NoHook)),
        stack.context("notify", Arc::new(NoHook)),
    );
    tidemark_changelog::handle(&changelog, stream_event(&records))
        .await
        .unwrap();
    tidemark_notify::handle(&notify, stream_event(&records))
        .await
        .unwrap();
    spoilt_rows(&stack).await;
    let body = json!({"since_token": follower.since, "device_id": "tablet"});
    assert_eq!(
        stack.post("sync/pull", &follower.token, &body).await.status,
        503
    );
    assert_silent(&written, &[]);
    let (_, messages) = said(&written);
    for message in [
        "a stream record was set aside",
        "a resource does not read",
        "a conflict does not read",
        "an entry of the audit log does not read",
        "the tables did not answer",
    ] {
        assert!(messages.contains(message), "{message}: {messages:#?}");
    }
    let details: BTreeSet<_> = written
        .logs()
        .iter()
        .filter_map(|line| Some(line["detail"].as_str()?.to_owned()))
        .collect();
    for what in [
        "raw items",
        "batch results",
        "conflict",
        "device",
        "segment",
    ] {
        assert!(
            details
                .iter()
                .any(|detail| detail.starts_with(&format!("unreadable {what}: "))),
            "{what}: {details:#?}"
        );
    }
}

/// A conflict about the meter `id`, which is open; gives its id.
async fn conflicted(stack: &Stack, id: &str) -> String {
    let office = stack.device("office", "pc");
    office.push_one(meter("create", id, 0, secret())).await;
    office
        .push_one(meter("update", id, 1, json!({"reading": 1})))
        .await;
    let rejected = stack
        .device("ana", "phone")
        .push_one(meter("update", id, 1, json!({"reading": WORD})))
        .await;
    rejected["conflict_id"].as_str().unwrap().to_owned()
}

/// Every kind of call, with a service that answers as `hook` says. The conflict is open; the
/// records are to be sequenced and told.
async fn hour(stack: &Stack, hook: &Arc<Responder>, conflict: &str, records: &[Value]) {
    let down = stack.beside(hook.clone());
    let root = stack.token("acme", "root", &["admin"], &[]);
    let items = json!([meter("update", "m-1", 9, secret()), {"resource_type": "submission", "action": "create", "client_version": 0,
        "payload": {"form_id": WORD, "data": {}, "media": ["uploads/acme/ana/x.5.image~jpeg.jpg"]}, "client_temp_id": "t-2"}]);
    down.device("ana", "phone").push_batch("b-9", &items).await;
    down.post("sync/pull", &root, &json!({"since_token": null}))
        .await;
    for path in [
        "conflicts",
        "audit",
        "devices",
        &format!("conflicts/{conflict}"),
    ] {
        down.get(path, &root).await;
    }
    let decision = json!({"resolution": "manual_merge", "payload": secret(), "note": WORD});
    down.post(&format!("conflicts/{conflict}/resolve"), &root, &decision)
        .await;
    let [changelog, notify] =
        ["changelog", "notify"].map(|function| stack.context(function, hook.clone()));
    tidemark_changelog::handle(&changelog, stream_event(records))
        .await
        .unwrap();
    tidemark_notify::handle(&notify, stream_event(records))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_service_says_of_a_failure_is_not_quoted() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    day(&stack).await;
    let root = stack.token("acme", "root", &["admin"], &[]);
    let decided = conflicted(&stack, "m-5").await;
    stack
        .post(
            &format!("conflicts/{decided}/resolve"),
            &root,
            &json!({"resolution": "accept_client", "note": WORD}),
        )
        .await
        .ok();
    let open = conflicted(&stack, "m-6").await;
    let poison = poison(&stack).await;
    let changes = [poison, stack.stream_records()].concat();
    let decisions = stack.stream_records_of("conflicts");
    for reply in indiscreet() {
        for hook in [
            Responder::all(reply.clone()),
            Responder::transactions(reply),
        ] {
            hour(&stack, &hook, &open, &changes).await;
            hour(&stack, &hook, &open, &decisions).await;
        }
    }
    for reply in indiscreet() {
        hour(&stack, &Responder::puts(reply), &open, &changes).await; // and so the conflict is decided
    }
    assert_silent(&written, &[]);
    // What helps is told all the same: the code, and what was attempted.
    let details: BTreeSet<_> = written
        .logs()
        .iter()
        .filter_map(|line| Some(line["detail"].as_str()?.to_owned()))
        .collect();
    for (attempt, code) in [
        ("query on audit_log", "NobodyKnowsThis"),
        ("transaction cancelled", "ValidationError"),
        ("put_item on sync_items", "NobodyKnowsThis"),
    ] {
        assert!(
            details
                .iter()
                .any(|detail| detail.contains(attempt) && detail.contains(code)),
            "{details:#?}"
        );
    }
    let (_, messages) = said(&written);
    for message in [
        "a stream record could not be set aside",
        "a decision could not be told",
    ] {
        assert!(messages.contains(message), "{message}: {messages:#?}");
    }
}

/// The level is for our own crates; others are heard when it is a warning, except where they quote
/// an event.
#[test]
fn the_level_is_for_our_own_crates() {
    for (level, ours) in [
        (LevelFilter::TRACE, 5),
        (LevelFilter::INFO, 3),
        (LevelFilter::ERROR, 1),
    ] {
        let (written, _guard) = CapturedLog::at(level);
        macro_rules! say {
            ($target:literal) => {
                tracing::error!(target: $target, "said");
                tracing::warn!(target: $target, "said");
                tracing::info!(target: $target, "said");
                tracing::debug!(target: $target, "said");
                tracing::trace!(target: $target, "said");
            };
        }
        say!("tidemark_push::repeat");
        say!("aws_smithy_runtime::client::orchestrator");
        say!("hyper_util::client");
        say!("lambda_runtime::layers::api_response");
        let heard = |target| {
            written
                .logs()
                .iter()
                .filter(|line| line["target"] == target)
                .count()
        };
        let targets = [
            "tidemark_push::repeat",
            "aws_smithy_runtime::client::orchestrator",
            "hyper_util::client",
        ];
        assert_eq!(targets.map(heard), [ours, 2, 2]);
        assert_eq!(heard("lambda_runtime::layers::api_response"), 0);
    }
}

/// The stories above would find a secret: without the filter, the SDK alone logs answers whole.
#[tokio::test]
async fn without_the_filter_the_secrets_would_be_there() {
    let written = CapturedLog::default();
    let everything = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(written.writer())
        .finish();
    let guard = hear(everything);
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, secret()))
        .await;
    stack.device("ana", "tablet").pull().await;
    drop(guard);
    assert!(written.text().contains(WORD));
}
