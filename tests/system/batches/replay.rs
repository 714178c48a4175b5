//! Replaying a batch.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::Duration;
use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_core::{pack::unpack, protocol::timestamp};
use tidemark_tests::{
    Device, Script, Stack,
    hooks::{Gate, Moment},
};

use super::{boss, create, edit, everything, get, id_of, push, replay};
use crate::conflicts::legacy::age_conflicts;

/// A batch with one of everything: what is applied, what conflicts, and what is about a resource
/// that is not there yet.
fn mixed() -> Value {
    json!([
        create("mine", "1"),
        edit("mine", 1, "2"),
        edit("stale", 1, "ana's"),
        edit("missing", 1, "late")
    ])
}

/// A stack in which ana's phone has pushed [`mixed`], and the missing resource has come to exist
/// since; the batch's id.
async fn prepared(stack: &Stack) -> String {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("stale", "1"), edit("stale", 1, "ben's")]))
        .await;
    let id = push(&ana, "b", &mixed()).await;
    ben.push_one(create("missing", "1")).await;
    stack.advance(Duration::hours(1));
    id
}

fn told(results: &Value) -> Vec<(Value, Value)> {
    let results = results.as_array().cloned().unwrap_or_default();
    results
        .iter()
        .map(|result| (result["status"].clone(), result["server_version"].clone()))
        .collect()
}

fn expected() -> Vec<(Value, Value)> {
    [("ok", 1), ("ok", 2), ("conflict", 2), ("ok", 2)]
        .map(|(status, version)| (json!(status), json!(version)))
        .to_vec()
}

/// The version of a meter.
fn version(stack: &Stack, id: &str) -> Value {
    let sk = format!("meter#{id}");
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == sk.as_str());
    row.map_or(Value::Null, |row| row["server_version"]["N"].clone())
}

/// What the audit log says, by action.
fn audit(stack: &Stack, action: &str) -> Vec<Value> {
    let entry = |row: Value| -> Value {
        let packed = BASE64_STANDARD
            .decode(row["packed"]["B"].as_str().expect("bytes"))
            .expect("base64");
        serde_json::from_slice(&unpack(&packed, 1 << 20).expect("packed")).expect("an entry")
    };
    stack
        .rows("audit_log")
        .into_iter()
        .map(entry)
        .filter(|entry| entry["action"] == action)
        .collect()
}

#[tokio::test]
async fn a_replay_gives_what_failed_a_new_chance_and_leaves_what_was_applied() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let conflicts = stack.conflicts();
    let before = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(before["results"][3]["code"], "not_found");

    let response = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_eq!(told(&response["results"]), expected());
    let heading = (
        &response["batch_id"],
        &response["dry_run"],
        &response["processed_at"],
    );
    assert_eq!(
        heading,
        (&json!(id), &json!(false), &json!(timestamp(stack.now())))
    );
    let ok = |response: &Value| {
        [
            response["results"][0].clone(),
            response["results"][1].clone(),
        ]
    };
    assert_eq!(ok(&response), ok(&before), "the answers of then");
    assert_eq!(
        response["results"][2]["conflict_id"],
        before["results"][2]["conflict_id"]
    );
    assert_eq!(stack.conflicts(), conflicts, "it stays one conflict");
    assert_eq!(
        (version(&stack, "mine"), version(&stack, "missing")),
        (json!("2"), json!("2"))
    );

    // Whoever looks, and the device that sends the batch again, sees the new results.
    let shown = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(
        (told(&shown["results"]), &shown["processed_at"]),
        (expected(), &response["processed_at"])
    );
    let again = stack
        .device("ana", "phone")
        .push_batch("b", &mixed())
        .await
        .ok();
    assert_eq!(
        (told(&again["results"]), &again["processed_at"]),
        (expected(), &response["processed_at"])
    );
    assert_eq!(version(&stack, "missing"), "2");
    // Without a body, and once more: nothing is left to do.
    let twice = stack
        .post_bytes(&format!("batches/{id}/replay"), Some(&boss(&stack)), b"")
        .await
        .ok();
    assert_eq!(told(&twice["results"]), expected());
    assert_eq!(version(&stack, "missing"), "2");
}

#[tokio::test]
async fn what_was_applied_is_not_run_again_even_if_its_row_has_forgotten_it() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let other = json!({"resource_type": "meter", "action": "update", "client_version": 1, "base_version": 1,
        "payload": {"id": "mine", "text": "x".repeat(360_000)}});
    let id = push(
        &ana,
        "b",
        &json!([
            create("mine", "1"),
            edit("mine", 1, "2"),
            other,
            edit("missing", 1, "x")
        ]),
    )
    .await;
    for version in 2..20 {
        ben.push_one(edit("mine", version, &format!("ben's {version}")))
            .await;
    }
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    let statuses: Vec<&Value> = results
        .as_array()
        .expect("results")
        .iter()
        .map(|result| &result["status"])
        .collect();
    assert_eq!(statuses, ["ok", "ok", "error", "error"]);
    assert_eq!(version(&stack, "mine"), "20");
    assert_eq!(stack.conflicts(), [json!(null); 0]);
}

#[tokio::test]
async fn what_a_replay_applied_reaches_the_device_it_was_applied_for() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    // What the device creates and edits there is refused, and it drops both.
    let task = |action: &str, version: u64| {
        json!({"resource_type": "task", "action": action, "channel": "group/north", "client_version": version,
        "base_version": version, "payload": {"id": "t", "title": action}})
    };
    ana.token = stack.token("acme", "ana", &[], &["north"]);
    let id = push(
        &ana,
        "b",
        &json!([edit("missing", 1, "late"), task("update", 1)]),
    )
    .await;
    ben.push_one(create("missing", "1")).await;
    Device::new(&stack, boss(&stack), "desk")
        .push_one(task("create", 0))
        .await;
    stack.settle().await;
    ana.pull().await;
    assert_eq!(
        told(&replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"]),
        [(json!("ok"), json!(2)), (json!("ok"), json!(2))]
    );
    stack.settle().await;
    ana.pull().await;
    let mut fresh = Device::new(&stack, ana.token.clone(), "fresh");
    fresh.pull().await;
    assert_eq!(ana.live(), fresh.live());
}

#[tokio::test]
async fn what_conflicts_when_it_is_replayed_joins_the_open_conflict_of_its_device() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let id = push(&ana, "b", &json!([edit("stale", 1, "too early")])).await;
    ben.push(json!([create("stale", "1"), edit("stale", 1, "ben's")]))
        .await;
    let conflict = ana.push_one(edit("stale", 1, "ana's")).await["conflict_id"].clone();
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        (told(&results), &results[0]["conflict_id"]),
        (vec![(json!("conflict"), json!(2))], &conflict)
    );
    let rows = stack.conflicts();
    assert_eq!((rows.len(), &rows[0]["edit_count"]["N"]), (1, &json!("2")));
}

#[tokio::test]
async fn a_dry_run_answers_what_would_happen_and_writes_nothing() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    stack.settle().await;
    let before = everything(&stack);
    let dry = replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(
        (told(&dry["results"]), &dry["dry_run"]),
        (expected(), &json!(true))
    );
    assert_eq!(everything(&stack), before);
    let real = replay(&stack, &boss(&stack), &id, &json!({"dry_run": false}))
        .await
        .ok();
    assert_eq!(real["results"], dry["results"]);
}

#[tokio::test]
async fn replayed_edit_that_wins_is_recorded() {
    let catalog = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = 'client_wins'";
    let stack = Stack::configured(&[("CATALOG", catalog)]);
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let id = push(&ana, "b", &json!([edit("missing", 1, "late")])).await;
    ben.push(json!([create("missing", "1"), edit("missing", 1, "ben's")]))
        .await;
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(told(&results), [(json!("ok"), json!(3))]);
    assert_eq!(results[0]["resolution"], "accept_client");
    assert_eq!(stack.conflicts().len(), 1);
}

#[tokio::test]
async fn what_conflicts_when_it_is_replayed_joins_the_conflict_of_an_earlier_build() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("m", "1"), edit("m", 1, "ben's")]))
        .await;
    let id = push(
        &ana,
        "b",
        &json!([edit("m", 1, "ana's"), edit("missing", 1, "late")]),
    )
    .await;
    let old = age_conflicts(&stack).remove(0);
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        (&results[0]["status"], &results[0]["conflict_id"]),
        (&json!("conflict"), &json!(old))
    );
    assert_eq!(stack.conflicts().len(), 1);
}

#[tokio::test]
async fn a_replay_goes_by_the_claims_the_batch_came_with_and_never_by_the_admins() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.token = stack.token("acme", "ana", &[], &["north"]);
    let task = |id: &str, channel: &str, version: u64| {
        json!({"resource_type": "task", "action": if version == 0 { "create" } else { "update" },
        "channel": channel, "client_version": version, "base_version": version, "payload": {"id": id, "title": "x"}})
    };
    let items = json!([
        task("north", "group/north", 1),
        task("south", "group/south", 0),
        task("ben", "user/ben", 0)
    ]);
    let id = push(&ana, "b", &items).await;
    // Ana has left the group since; the admin belongs to none.
    let mut late = task("north", "group/north", 0);
    late["payload"]["title"] = "y".into();
    let desk = Device::new(&stack, boss(&stack), "desk");
    assert_eq!(desk.push_one(late).await["status"], "ok");
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        (&results[0]["status"], &results[0]["server_version"]),
        (&json!("ok"), &json!(2))
    );
    assert_eq!(
        (&results[1]["code"], &results[2]["code"]),
        (&json!("channel_forbidden"), &json!("channel_forbidden"))
    );
    let row = stack.rows("resources").remove(0);
    assert_eq!(row["run_by"]["S"], "ana#phone", "{row}");
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn replay_runs_without_the_stored_admin_role() {
    let stack = Stack::new();
    let mut root = stack.device("root", "phone");
    root.token = stack.token("acme", "root", &["admin", "editor"], &["north"]);
    let late = json!({"resource_type": "meter", "action": "update", "channel": "user/ana", "client_version": 1, "base_version": 1,
        "payload": {"id": "m", "text": "late"}});
    let id = push(&root, "b", &json!([late])).await;
    let mut create = create("m", "1");
    create["channel"] = "user/ana".into();
    stack.device("ana", "phone").push_one(create).await;
    for (body, roles, outcome) in [
        (json!({}), json!(["editor"]), "channel_forbidden"),
        (
            json!({"with_stored_roles": false}),
            json!(["editor"]),
            "channel_forbidden",
        ),
        (
            json!({"with_stored_roles": true, "dry_run": true}),
            json!(["admin", "editor"]),
            "ok",
        ),
        (
            json!({"with_stored_roles": true}),
            json!(["admin", "editor"]),
            "ok",
        ),
    ] {
        let response = replay(&stack, &boss(&stack), &id, &body).await.ok();
        let runs_as = json!({"user": "root", "roles": roles, "groups": ["north"]});
        let result = &response["results"][0];
        assert_eq!(response["runs_as"], runs_as, "{body}");
        assert_eq!(
            if outcome == "ok" {
                &result["status"]
            } else {
                &result["code"]
            },
            outcome,
            "{body}"
        );
        if body["dry_run"] != true {
            assert!(
                audit(&stack, "replay_finished")
                    .iter()
                    .any(|entry| entry["runs_as"] == runs_as),
                "{body}"
            );
        }
    }
    assert!(
        audit(&stack, "admin_write").is_empty(),
        "a replay has entries of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_died_before_it_was_answered_is_replayed_whole() {
    let stack = Stack::new();
    let dying = Stack::over(
        stack.engine.clone(),
        Arc::new(Script::dying_at(3, Moment::Before)),
    );
    let (device, items) = (
        dying.device("ana", "phone"),
        json!([create("a", "1"), edit("a", 1, "2"), create("b", "1")]),
    );
    assert!(
        tokio::time::timeout(
            std::time::Duration::from_secs(60),
            device.push_batch("b", &items)
        )
        .await
        .is_err()
    );
    let id = id_of("ana", "b");
    let dry = replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        told(&results),
        [
            (json!("ok"), json!(1)),
            (json!("ok"), json!(2)),
            (json!("ok"), json!(1))
        ]
    );
    assert_eq!(dry["results"], results);
    // The device, which never heard of it, sends it again.
    let again = stack
        .device("ana", "phone")
        .push_batch("b", &items)
        .await
        .ok();
    assert_eq!(again["results"], results);
    assert_eq!(
        (version(&stack, "a"), version(&stack, "b")),
        (json!("2"), json!("1"))
    );
    assert_eq!(audit(&stack, "replay_started")[0]["before"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn items_answered_retryable_are_tried_again_by_a_replay() {
    let is_throttled = Arc::new(AtomicBool::new(true));
    let switch = is_throttled.clone();
    let stack = Stack::hooked(Arc::new(Script::new(move |_, operation, body, moment| {
        if operation != "BatchExecuteStatement"
            || moment == Moment::After
            || !switch.load(Ordering::SeqCst)
        {
            return CallFate::Continue;
        }
        let request: Value = serde_json::from_str(body).expect("a request");
        let error = json!({"Error": {"Code": "ThrottlingError", "Message": "slow down"}});
        let responses: Vec<Value> = request["Statements"]
            .as_array()
            .expect("statements")
            .iter()
            .map(|_| error.clone())
            .collect();
        CallFate::Reply(Reply {
            status: 200,
            body: json!({"Responses": responses}).to_string().into_bytes(),
        })
    })));
    let id = push(
        &stack.device("ana", "phone"),
        "b",
        &json!([create("one", "1")]),
    )
    .await;
    assert_eq!(
        get(&stack, &boss(&stack), &id).await.ok()["results"][0]["retryable"],
        true
    );
    is_throttled.store(false, Ordering::SeqCst);
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(told(&results), [(json!("ok"), json!(1))]);
}

#[tokio::test]
async fn the_audit_log_tells_of_a_replay_before_and_after() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = get(&stack, &boss(&stack), &id).await.ok()["results"].clone();
    replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(stack.rows("audit_log"), [json!(null); 0]);
    replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    let after = get(&stack, &boss(&stack), &id).await.ok()["results"].clone();
    for (action, after) in [("replay_started", Value::Null), ("replay_finished", after)] {
        let mut entries = audit(&stack, action);
        assert_eq!(entries.len(), 1, "{action}");
        entries[0]["id"].take();
        let expected = json!({"id": null, "at": timestamp(stack.now()), "action": action, "by": "boss", "via": "api", "user": "ana",
            "device_id": "phone", "batch_id": id, "runs_as": {"user": "ana", "roles": [], "groups": []}, "before": before, "after": after});
        assert_eq!(entries[0], expected);
    }
}

#[tokio::test]
async fn a_replay_is_for_admins_of_the_tenant_and_says_what_is_wrong_with_it() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = everything(&stack);
    let token = |tenant, user, roles: &[&str]| stack.token(tenant, user, roles, &[]);
    for (token, status) in [
        (token("acme", "ana", &[]), 403),
        (token("acme", "ben", &["editor"]), 403),
        (token("umbrella", "boss", &["admin"]), 404),
        ("none".to_owned(), 401),
    ] {
        assert_eq!(replay(&stack, &token, &id, &json!({})).await.status, status);
    }
    for unknown in [&id_of("ana", "other"), "x"] {
        assert_eq!(
            replay(&stack, &boss(&stack), unknown, &json!({}))
                .await
                .status,
            404
        );
    }
    for (body, path) in [
        (json!({"dry_run": "yes"}), "dry_run"),
        (json!({"dry_run": 1}), "dry_run"),
        (json!([true]), "$"),
        (json!(null), "$"),
    ] {
        let response = replay(&stack, &boss(&stack), &id, &body).await;
        assert_eq!(
            (response.status, &response.json()["path"]),
            (400, &json!(path)),
            "{body}"
        );
    }
    stack.advance(Duration::days(91));
    assert_eq!(
        replay(&stack, &boss(&stack), &id, &json!({})).await.status,
        404,
        "expired"
    );
    assert_eq!(everything(&stack), before);
}

#[tokio::test]
async fn of_two_replays_at_once_neither_overwrites_what_the_other_answered() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "TransactWriteItems"
            && String::from_utf8_lossy(call.body).contains("\"sync_batches\"")
    }));
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    slow.advance(Duration::hours(1));
    let token = boss(&stack);
    let first = async {
        gate.reached().await;
        let response = replay(&stack, &token, &id, &json!({})).await;
        gate.open();
        response
    };
    let body = json!({});
    let (lost, won) = tokio::join!(replay(&slow, &token, &id, &body), first);
    assert_eq!(told(&won.ok()["results"]), expected());
    assert_eq!(
        (lost.status, &lost.json()["code"]),
        (409, &json!("contended"))
    );
    assert_eq!(
        told(&get(&stack, &token, &id).await.ok()["results"]),
        expected()
    );
    assert_eq!(audit(&stack, "replay_finished").len(), 1);
    assert_eq!(version(&stack, "missing"), "2");
}

#[tokio::test]
async fn a_push_that_is_slower_than_a_replay_does_not_overwrite_its_results() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "PutItem"
            && String::from_utf8_lossy(call.body).contains("\"sync_batches\"")
    }));
    let stack = Stack::new();
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    let items = json!([create("mine", "1"), edit("missing", 1, "late")]);
    let (device, id) = (slow.device("ana", "phone"), id_of("ana", "b"));
    let meanwhile = async {
        gate.reached().await;
        stack
            .device("ben", "phone")
            .push_one(create("missing", "1"))
            .await;
        stack.advance(Duration::seconds(1));
        replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
        gate.open();
    };
    let (pushed, ()) = tokio::join!(device.push_batch("b", &items), meanwhile);
    assert_eq!(pushed.ok()["results"][1]["code"], "not_found");
    let shown = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(
        told(&shown["results"]),
        [(json!("ok"), json!(1)), (json!("ok"), json!(2))]
    );
}

#[tokio::test]
async fn a_large_batch_is_replayed_as_it_came() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let mut state = 3_u64;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    let items: Vec<Value> = (0..8)
        .map(|number| {
            edit(
                &format!("m-{number}"),
                1,
                &(0..300_000).map(|_| letter()).collect::<String>(),
            )
        })
        .collect();
    let id = push(&ana, "b", &items.clone().into()).await;
    for number in 0..8 {
        stack
            .device("ben", "phone")
            .push_one(create(&format!("m-{number}"), "1"))
            .await;
    }
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert!(
        told(&results)
            .iter()
            .all(|told| *told == (json!("ok"), json!(2)))
    );
    stack.settle().await;
    let mut fresh = stack.device("eva", "phone");
    fresh.pull().await;
    for (number, item) in items.iter().enumerate() {
        let held = fresh.live()[&format!("m-{number}")].payload.clone();
        assert!(held == Some(json!({"text": item["payload"]["text"]}).to_string()));
    }
}

#[tokio::test]
async fn a_replay_finds_the_creates_that_failed_and_those_that_were_corrected() {
    let stack = Stack::new();
    let ana = Device::new(&stack, stack.token("acme", "ana", &[], &["north"]), "phone");
    let meter = |payload: Value| json!([{"resource_type": "meter", "action": "create", "client_temp_id": "new", "client_version": 0, "payload": payload}]);
    let task = json!([{"resource_type": "task", "action": "create", "client_temp_id": "t", "client_version": 0, "channel": "group/north",
        "payload": {"meter_id": "new"}}]);
    push(&ana, "b-1", &meter(json!([]))).await;
    let id = push(&ana, "b-2", &task).await;
    let again = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_eq!(
        again["results"][0]["code"], "depends_on_failed_item",
        "{again}"
    );
    let made = ana
        .push_batch("b-3", &meter(json!({"code": "A"})))
        .await
        .ok();
    let again = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_eq!(again["results"][0]["status"], "ok", "{again}");
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"].as_str().expect("text").starts_with("task#"));
    let payload: Value =
        serde_json::from_str(&stack.payload_of(&row.expect("a task"))).expect("JSON");
    assert_eq!(payload["meter_id"], made["results"][0]["server_id"]);
}
