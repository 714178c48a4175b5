//! §3.9: no two resources of a type share a value of a unique field.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidemark::engine::http::{CallFate, NoHook};
use tidemark_core::ids::BatchId;
use tidemark_tests::{Device, Script, Stack, hooks::Moment};

/// A create of the meter `id` with this code.
fn create(id: &str, code: impl Into<Value>) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "code": code.into()}})
}

/// A patch of the meter `id`, made on `base`.
fn patch(id: &str, base: u64, payload: Value) -> Value {
    let mut payload = payload;
    payload["id"] = id.into();
    json!({"resource_type": "meter", "action": "update", "client_version": base, "base_version": base, "payload": payload})
}

fn delete(id: &str, base: u64) -> Value {
    json!({"resource_type": "meter", "action": "delete", "client_version": base, "base_version": base, "payload": {"id": id}})
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|it| it["status"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn a_create_that_repeats_a_unique_value_conflicts_and_names_the_holder() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(create("m-1", "A"))
        .await;
    let ben = stack.device("ben", "phone");
    let result = ben.push_one(create("m-2", "A")).await;
    assert_eq!(
        (&result["status"], &result["code"]),
        (&json!("conflict"), &json!("unique_violation"))
    );
    assert_eq!(result["holder_id"], "m-1");
    assert_eq!(stack.rows("resources").len(), 1);
    let conflict = &stack.conflicts()[0];
    assert_eq!(conflict["id"]["S"], result["conflict_id"]);
    assert!(
        conflict["client_payload"]["S"].to_string().contains("code"),
        "what was typed is kept"
    );
    // Sent again it is the same conflict; what hangs on it joins, in this batch and in a later one.
    let again = ben
        .push(json!([
            create("m-2", "A"),
            patch("m-2", 0, json!({"reading": 1}))
        ]))
        .await;
    assert_eq!(statuses(&again), ["conflict", "conflict"]);
    assert_eq!(again[1]["conflict_id"], result["conflict_id"]);
    let later = ben.push_one(patch("m-2", 0, json!({"reading": 2}))).await;
    assert_eq!(later["conflict_id"], result["conflict_id"]);
    assert_eq!(stack.conflicts()[0]["edit_count"]["N"], "3");
}

#[tokio::test]
async fn values_are_compared_as_canonical_json_and_null_is_none() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let nested = |text: &str| create("m-n", serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(
        ana.push_one(nested(r#"{"b": [1, 2], "a": "x"}"#)).await["status"],
        "ok"
    );
    let mut other = create("m-o", Value::Null);
    other["payload"]["code"] = serde_json::from_str(r#"{"a":"\u0078","b":[1,2]}"#).expect("JSON");
    assert_eq!(ana.push_one(other).await["code"], "unique_violation");
    assert_eq!(ana.push_one(create("m-1", 1)).await["status"], "ok");
    assert_eq!(
        ana.push_one(create("m-2", "1")).await["status"],
        "ok",
        "a number is no text"
    );
    assert_eq!(
        statuses(
            &ana.push(json!([
                create("m-3", Value::Null),
                create("m-4", Value::Null)
            ]))
            .await
        ),
        ["ok", "ok"]
    );
}

#[tokio::test]
async fn a_value_is_freed_by_change_and_by_delete() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m-1", "A")).await;
    assert_eq!(
        ana.push_one(patch("m-1", 1, json!({"code": "B"}))).await["status"],
        "ok"
    );
    assert_eq!(ana.push_one(create("m-2", "A")).await["status"], "ok");
    assert_eq!(
        ana.push_one(create("m-3", "B")).await["code"],
        "unique_violation"
    );
    assert_eq!(ana.push_one(delete("m-1", 2)).await["status"], "ok");
    assert_eq!(ana.push_one(create("m-4", "B")).await["status"], "ok");
    assert_eq!(stack.rows("unique_keys").len(), 2);
    // A change that touches no unique field claims and frees nothing.
    assert_eq!(
        ana.push_one(patch("m-4", 1, json!({"reading": 5}))).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(patch("m-4", 2, json!({"code": null}))).await["status"],
        "ok"
    );
    assert_eq!(stack.rows("unique_keys").len(), 1);
}

#[tokio::test]
async fn of_two_in_one_batch_the_first_has_the_value() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let results = ana
        .push(json!([
            create("m-1", "A"),
            create("m-2", "A"),
            create("m-3", "B")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "conflict", "ok"]);
    assert_eq!(results[1]["holder_id"], "m-1");
    // What an earlier item of the batch frees, a later one may take.
    let results = ana
        .push(json!([
            patch("m-1", 1, json!({"code": "C"})),
            create("m-4", "A"),
            create("m-5", "C")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok", "conflict"]);
    let results = ana
        .push(json!([delete("m-3", 1), create("m-6", "B")]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok"]);
}

#[tokio::test]
async fn values_that_change_hands_in_a_batch_go_in_its_order() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push(json!([create("m-1", "A"), create("m-2", "B")]))
        .await;
    let code = |code: &str| json!({ "code": code });
    // Each takes what the one before it lets go.
    let results = ana
        .push(json!([
            patch("m-1", 1, code("C")),
            patch("m-2", 1, code("A")),
            create("m-3", "B")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok", "ok"], "{results:?}");
}

#[tokio::test]
async fn a_long_chain_of_values_goes_through_in_either_direction() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let meters = 1..=15;
    ana.push(
        meters
            .clone()
            .map(|number| create(&format!("m-{number}"), number))
            .collect(),
    )
    .await;
    let next = |number: u64, base: u64, code: u64| {
        patch(&format!("m-{number}"), base, json!({ "code": code }))
    };
    // Each wants what the next one has still.
    let up = ana
        .push(
            meters
                .clone()
                .map(|number| next(number, 1, number + 1))
                .collect(),
        )
        .await;
    assert_eq!(
        statuses(&up),
        [vec!["conflict"; 14], vec!["ok"]].concat(),
        "{up:?}"
    );
    assert!(
        up[..14]
            .iter()
            .all(|result| result["code"] == "unique_violation"),
        "{up:?}"
    );
    // Each takes what the one before it lets go.
    let further = |number| {
        if number == 15 {
            next(15, 2, 17)
        } else {
            next(number, 1, number + 1)
        }
    };
    let down = ana.push(meters.rev().map(further).collect()).await;
    assert_eq!(statuses(&down), ["ok"; 15], "{down:?}");
}

#[tokio::test]
async fn a_value_is_taken_from_a_resource_whose_create_is_sent_again() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m-1", "A")).await;
    // Its answer was lost, so it comes again; that it is there shows only when the batch is under
    // way.
    let results = ana
        .push(json!([
            create("m-1", "A"),
            patch("m-1", 1, json!({"code": "C"})),
            create("m-2", "A")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok", "ok"], "{results:?}");
}

#[tokio::test]
async fn of_eight_that_race_for_a_value_one_has_it() {
    let stack = Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Continue)));
    let devices: Vec<Device<'_>> = (0..8)
        .map(|at| stack.device(&format!("user-{at}"), "phone"))
        .collect();
    let pushes = devices
        .iter()
        .enumerate()
        .map(|(at, device)| device.push_one(create(&format!("m-{at}"), "A")));
    let results = join_all(pushes).await;
    assert_eq!(
        results.iter().filter(|it| it["status"] == "ok").count(),
        1,
        "{results:?}"
    );
    assert_eq!(
        results
            .iter()
            .filter(|it| it["code"] == "unique_violation")
            .count(),
        7
    );
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("unique_keys").len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_holder_that_the_caller_may_not_read_is_not_named() {
    let stack = Stack::new();
    let admin = Device::new(&stack, stack.token("acme", "root", &["admin"], &[]), "desk");
    let mut elsewhere = create("m-1", "A");
    elsewhere["channel"] = "group/north".into();
    assert_eq!(admin.push_one(elsewhere).await["status"], "ok");
    let result = stack
        .device("ana", "phone")
        .push_one(create("m-2", "A"))
        .await;
    assert_eq!(
        (&result["code"], &result["holder_id"]),
        (&json!("unique_violation"), &Value::Null)
    );
    assert!(!result["error"].to_string().contains("m-1"));
    // Tenants share nothing.
    let other = Device::new(&stack, stack.token("umbrella", "ana", &[], &[]), "phone");
    assert_eq!(other.push_one(create("m-9", "A")).await["status"], "ok");
}

#[tokio::test]
async fn a_retried_create_holds_its_value_and_is_no_violation() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(create("m-1", "A")).await["server_version"], 1);
    assert_eq!(ana.push_one(create("m-1", "A")).await["server_version"], 1);
    let results = ana
        .push(json!([
            create("m-1", "A"),
            patch("m-1", 1, json!({"code": "B"}))
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok"]);
    let results = ana
        .push(json!([
            create("m-1", "A"),
            patch("m-1", 1, json!({"code": "B"}))
        ]))
        .await;
    assert_eq!(
        (&results[0]["server_version"], &results[1]["server_version"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_create_that_was_refused_stays_in_its_conflict_when_the_value_is_free_again() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m-1", "A")).await;
    let rejected = ben.push_one(create("m-2", "A")).await;
    ana.push_one(patch("m-1", 1, json!({"code": "B"}))).await;
    // Open: it is decided by an admin, not by chance.
    let again = ben.push_one(create("m-2", "A")).await;
    assert_eq!(
        (&again["status"], &again["conflict_id"]),
        (&json!("conflict"), &rejected["conflict_id"])
    );
    // Decided: it is answered with the outcome.
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        rejected["conflict_id"].as_str().unwrap()
    );
    stack
        .post(&path, &admin, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    let after = ben.push_one(create("m-2", "A")).await;
    assert_eq!(
        (&after["status"], &after["resolution"]),
        (&json!("conflict"), &json!("accept_server"))
    );
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn a_create_that_was_refused_and_accepted_is_ok_when_it_is_sent_again() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m-1", "A")).await;
    let mut named = create("m-2", "A");
    named["client_temp_id"] = "tmp-2".into();
    let items = json!([named, patch("m-2", 0, json!({"reading": 1}))]);
    let rejected = ben.push(items.clone()).await;
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        rejected[0]["conflict_id"].as_str().unwrap()
    );
    let taken = stack
        .post(&path, &admin, &json!({"resolution": "accept_client"}))
        .await;
    assert_eq!(
        (taken.status, &taken.json()["holder_id"]),
        (409, &json!("m-1"))
    );
    ana.push_one(patch("m-1", 1, json!({"code": "B"}))).await;
    assert_eq!(
        stack
            .post(&path, &admin, &json!({"resolution": "accept_client"}))
            .await
            .ok()["server_version"],
        1
    );
    assert_eq!(statuses(&ben.push(items).await), ["ok", "ok"]);
    assert_eq!(ana.push_one(create("m-3", "A")).await["holder_id"], "m-2");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_knows_what_the_batch_itself_frees_and_takes() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(create("m-1", "A"))
        .await;
    // A push that died before it applied anything: its items are kept.
    let items = json!([
        patch("m-1", 1, json!({"code": "C"})),
        create("m-4", "A"),
        create("m-5", "C")
    ]);
    let dying = stack.beside(Arc::new(Script::new(|_, operation, _, moment| {
        match (operation, moment) {
            ("TransactWriteItems", Moment::Before) => CallFate::Hang,
            _ => CallFate::Continue,
        }
    })));
    let device = dying.device("ana", "phone");
    let died = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        device.push_batch("b", &items),
    )
    .await;
    assert!(died.is_err());
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "batches/{}/replay",
        BatchId::derived("acme", "ana", "phone", "b")
    );
    let dry = stack
        .post(&path, &admin, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("unique_keys").len()
        ),
        (1, 1)
    );
    let real = stack.post(&path, &admin, &json!({})).await.ok();
    for replay in [&dry, &real] {
        assert_eq!(
            statuses(replay["results"].as_array().unwrap()),
            ["ok", "ok", "conflict"]
        );
    }
    assert_eq!(dry["results"].to_string(), real["results"].to_string());
}

#[tokio::test]
async fn a_field_that_is_declared_unique_later_claims_nothing_that_stands() {
    let plain = Stack::configured(&[("CATALOG", "[meter]\nchannel = 'tenant'\nid_prefix = 'm'")]);
    plain
        .device("ana", "phone")
        .push(json!([create("m-1", "A"), create("m-2", "B")]))
        .await;
    let stack = Stack::over(plain.engine.clone(), Arc::new(NoHook));
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(create("m-3", "A")).await["status"], "ok");
    // What somebody else holds by now is not freed by the one who had it without a claim.
    assert_eq!(
        ana.push_one(patch("m-1", 1, json!({"code": "C"}))).await["status"],
        "ok"
    );
    assert_eq!(ana.push_one(create("m-4", "A")).await["holder_id"], "m-3");
    assert_eq!(
        ana.push_one(patch("m-2", 1, json!({"code": "D"}))).await["status"],
        "ok"
    );
    assert_eq!(stack.rows("unique_keys").len(), 3);
}

const IGNORES_EMPTY: &str =
    "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\nunique_ignores_empty = true";

#[tokio::test]
async fn empty_text_is_a_unique_value_by_default() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(create("m-1", "")).await["status"], "ok");
    let result = ana.push_one(create("m-2", "")).await;
    assert_eq!(
        (&result["code"], &result["holder_id"]),
        (&json!("unique_violation"), &json!("m-1"))
    );
}

#[tokio::test]
async fn catalog_may_ignore_empty_unique_values() {
    let stack = Stack::configured(&[("CATALOG", IGNORES_EMPTY)]);
    let ana = stack.device("ana", "phone");
    assert_eq!(
        statuses(
            &ana.push(json!([
                create("m-1", ""),
                create("m-2", ""),
                create("m-3", "A")
            ]))
            .await
        ),
        ["ok"; 3]
    );
    assert_eq!(stack.rows("unique_keys").len(), 1);
    // Only the empty text is none: white space and other empty values are values.
    for (first, code) in [
        ("a", json!(" ")),
        ("b", json!("\u{0}")),
        ("c", json!([])),
        ("d", json!({})),
        ("e", json!(0)),
        ("f", json!(false)),
    ] {
        assert_eq!(
            ana.push_one(create(&format!("m-{first}1"), code.clone()))
                .await["status"],
            "ok",
            "{code}"
        );
        assert_eq!(
            ana.push_one(create(&format!("m-{first}2"), code.clone()))
                .await["code"],
            "unique_violation",
            "{code}"
        );
    }
    // A value is freed by a change to the empty text, and taken by a change from it.
    assert_eq!(
        ana.push_one(patch("m-3", 1, json!({"code": ""}))).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(patch("m-1", 1, json!({"code": "A"}))).await["status"],
        "ok"
    );
    let taken = ana.push_one(patch("m-2", 1, json!({"code": "A"}))).await;
    assert_eq!(
        (&taken["code"], &taken["holder_id"]),
        (&json!("unique_violation"), &json!("m-1"))
    );
    // An admin's decision goes by the same rule.
    let path = format!(
        "conflicts/{}/resolve",
        taken["conflict_id"].as_str().unwrap_or_default()
    );
    let root = stack.token("acme", "root", &["admin"], &[]);
    let decision = json!({"resolution": "manual_merge", "payload": {"code": ""}});
    assert_eq!(
        stack.post(&path, &root, &decision).await.ok()["server_payload"],
        json!({"code": ""})
    );
}

#[tokio::test]
async fn empty_values_held_before_do_not_block() {
    let before = Stack::new();
    let ana = before.device("ana", "phone");
    assert_eq!(
        statuses(
            &ana.push(json!([create("m-1", ""), create("m-2", "B")]))
                .await
        ),
        ["ok", "ok"]
    );
    let stack = Stack::configured_over(
        before.engine.clone(),
        Arc::new(NoHook),
        &[("CATALOG", IGNORES_EMPTY)],
    );
    let ana = stack.device("ana", "phone");
    assert_eq!(
        statuses(
            &ana.push(json!([
                create("m-3", ""),
                patch("m-2", 1, json!({"code": ""}))
            ]))
            .await
        ),
        ["ok", "ok"]
    );
    assert_eq!(
        statuses(
            &ana.push(json!([
                patch("m-1", 1, json!({"code": "B"})),
                delete("m-3", 1)
            ]))
            .await
        ),
        ["ok", "ok"]
    );
}
