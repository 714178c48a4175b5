//! Requests for a repair, and their responses.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Stack, scenario};

use super::{admin, counts, outage, repair, write};

#[tokio::test]
async fn dry_run_changes_nothing() {
    let stack = Stack::new();
    outage(&stack).await;
    let before = (stack.rows("changes"), stack.rows("resources"));
    let response = repair(&stack, json!({"dry_run": true})).await;
    assert_eq!(
        (counts(&response), &response["dry_run"]),
        ([6, 4, 0], &json!(true))
    );
    assert_eq!((stack.rows("changes"), stack.rows("resources")), before);
    assert_eq!(counts(&repair(&stack, json!({})).await), [6, 4, 4]);
}

#[tokio::test]
async fn repair_obeys_tenant_and_channel() {
    let stack = Stack::new();
    outage(&stack).await;

    let stranger = Device::new(&stack, stack.token("acme2", "eve", &[], &[]), "phone");
    write(&stranger, "create", "s", "tenant", 0, "another tenant's").await;
    stack.forget().await;
    stack.advance(chrono::Duration::hours(1));

    let other = |stack: &Stack| {
        stack
            .segments()
            .into_iter()
            .filter(|row| row["pk"]["S"] == "acme2#tenant")
            .count()
    };

    assert_eq!(
        counts(&repair(&stack, json!({"tenant": "acme", "channel": "tenant"})).await),
        [5, 3, 3]
    );
    assert_eq!(
        counts(&repair(&stack, json!({"tenant": "acme", "channel": "tenant"})).await),
        [5, 0, 0]
    );
    assert_eq!(
        counts(&repair(&stack, json!({"tenant": "acme"})).await)[1..],
        [1, 1]
    );
    assert_eq!(other(&stack), 0, "other tenants are untouched");
    assert_eq!(
        counts(&repair(&stack, json!({"tenant": "umbrella"})).await)[1..],
        [0, 0]
    );
    assert_eq!(counts(&repair(&stack, json!({})).await)[1..], [1, 1]);
    assert_eq!(other(&stack), 1);
}

/// Creates many resources in several channels without sequencing them. Returns their number.
async fn many(stack: &Stack) -> usize {
    let writer = admin(stack);
    for channel in ["tenant", "user/ana#%", "group/nörd"] {
        let create = |number: usize| {
            let content = json!({"title": "x".repeat(20_000)});
            Item::create("task", &format!("t-{number}#%"), content).channel(channel)
        };
        for batch in 0..2 {
            let items: Vec<Item> = (batch * 40..batch * 40 + 40).map(create).collect();
            assert!(
                writer
                    .push(json!(items))
                    .await
                    .iter()
                    .all(|result| result["status"] == "ok")
            );
        }
    }

    stack.forget().await;
    stack.advance(chrono::Duration::hours(1));
    240
}

#[tokio::test]
async fn cursors_cover_everything_once() {
    for request in [
        json!({}),
        json!({"tenant": "acme"}),
        json!({"tenant": "acme", "channel": "user/ana#%"}),
    ] {
        let stack = Stack::new();
        let all = many(&stack).await;
        let (mut request, mut appended, mut looked_at, mut invocations) = (request, 0, 0, 0);
        let is_channel = request["channel"].is_string();
        request["limit"] = 37.into();

        loop {
            let response = repair(&stack, request.clone()).await;
            let [looked, missing, mended] = counts(&response);
            assert!(looked <= 37 && missing == mended, "{response}");
            (appended, looked_at, invocations) =
                (appended + mended, looked_at + looked, invocations + 1);
            if response["next_cursor"].is_null() {
                break;
            }
            request["cursor"] = response["next_cursor"].clone();
        }

        let expected = if is_channel { all / 3 } else { all };
        assert_eq!(
            (appended as usize, looked_at as usize),
            (expected, expected)
        );
        assert!(invocations >= expected / 37);

        let rows = stack.segments();
        assert!(rows.iter().all(|row| {
            row["entries"]["B"]
                .as_str()
                .is_some_and(|packed| packed.len() < 400_000)
        }));
        let channels: BTreeSet<_> = rows
            .iter()
            .filter_map(|row| row["pk"]["S"].as_str())
            .collect();
        assert_eq!(channels.len(), if is_channel { 1 } else { 3 });
    }
}

#[tokio::test]
async fn one_invocation_repairs_everything() {
    let stack = Stack::new();
    let all = many(&stack).await as u64;
    let response = repair(&stack, json!({})).await;
    assert_eq!(
        (&counts(&response)[1..], &response["next_cursor"]),
        (&[all, all][..], &Value::Null)
    );

    let mut reader = Device::new(
        &stack,
        stack.token("acme", "ana#%", &[], &["nörd"]),
        "phone",
    );
    reader.pull().await;
    assert_eq!(reader.rows().len() as u64, all);
    assert_eq!(counts(&repair(&stack, json!({})).await)[1..], [0, 0]);
}

/// Returns invalid events, each with the path that the problem names. `cursor` is of a repair of
/// all tenants.
fn invalid_events(cursor: &Value) -> Vec<(Value, &'static str)> {
    let repair = |request: Value| json!({ "repair": request });
    let long = "x".repeat(257);

    vec![
        (json!({}), "repair"),
        (json!({"repiar": {}}), "repair"),
        (json!(7), "repair"),
        (repair(json!(7)), "repair"),
        (json!({"repair": {}, "dry_run": true}), "dry_run"),
        (repair(json!({"dry-run": true})), "repair.dry-run"),
        (repair(json!({"dry_run": "yes"})), "repair.dry_run"),
        (repair(json!({"tenant": ""})), "repair.tenant"),
        (repair(json!({"tenant": long})), "repair.tenant"),
        (repair(json!({"channel": "tenant"})), "repair.tenant"),
        (
            repair(json!({"tenant": "acme", "channel": "everyone"})),
            "repair.channel",
        ),
        (repair(json!({"since": "yesterday"})), "repair.since"),
        (repair(json!({"limit": 0})), "repair.limit"),
        (repair(json!({"limit": -1})), "repair.limit"),
        (repair(json!({"cursor": "cu1_nonsense"})), "repair.cursor"),
        (
            repair(json!({"cursor": cursor, "tenant": "acme"})),
            "repair.cursor",
        ),
    ]
}

#[tokio::test]
async fn invalid_repair_request_changes_nothing() {
    let stack = Stack::new();
    outage(&stack).await;
    let before = stack.rows("changes");
    let cursor = repair(&stack, json!({"limit": 1, "dry_run": true})).await["next_cursor"].clone();

    for (event, path) in invalid_events(&cursor) {
        let problem = stack.invoke("changelog", &event).await;
        let found = [&problem["status"], &problem["code"], &problem["path"]];
        assert_eq!(
            found,
            [&json!(400), &json!("invalid_request"), &json!(path)],
            "{event}: {problem}"
        );
    }

    assert_eq!(stack.rows("changes"), before);
}

/// The entry point of the stream is the same: an event with records is a batch, whether Lambda or
/// an operator sends it.
#[tokio::test]
async fn given_up_batch_can_be_sequenced_again() {
    let stack = Stack::new();
    write(&admin(&stack), "create", "a", "tenant", 0, "given up").await;
    let records = stack.stream_records();
    stack.forget().await;
    let response = stack
        .invoke("changelog", &json!({"Records": records}))
        .await;
    assert_eq!(response, json!({"batchItemFailures": []}));
    stack.advance(chrono::Duration::hours(1));
    assert_eq!(counts(&repair(&stack, json!({})).await), [1, 0, 0]);
}

/// Returns the audit entries of repairs, oldest first. Entries of one moment are in no particular
/// order.
async fn audited(stack: &Stack) -> Vec<Value> {
    let mut entries = scenario::audit_entries(stack, "?order=oldest").await;
    entries.retain(|entry| entry["action"] == "repair");
    entries
}

/// Asserts that a repair of two channels is audited as one entry for each.
fn assert_entry_per_channel(mut entries: Vec<Value>) {
    entries.sort_by_key(|entry| entry["channel"].to_string());
    let summaries: Vec<Value> = entries
        .iter()
        .map(|it| {
            json!([
                it["by"],
                it["via"],
                it["channel"],
                it["note"],
                it["resources"]
            ])
        })
        .collect();

    let entry =
        |channel: &str, note: &str| json!(["ops@example.com", "invocation", channel, note, null]);
    assert_eq!(
        summaries,
        [
            entry("tenant", "appends 3 missing changes to the log"),
            entry("user/ana", "appends 1 missing changes to the log"),
        ]
    );
}

#[tokio::test]
async fn repairs_are_audited() {
    let stack = Stack::new();
    outage(&stack).await;
    repair(&stack, json!({"dry_run": true})).await;
    repair(&stack, json!({"dry_run": true, "start_over": true})).await;
    assert!(audited(&stack).await.is_empty());

    repair(&stack, json!({"requested_by": "ops@example.com"})).await;
    assert_entry_per_channel(audited(&stack).await);

    // A repair without missing changes is not audited.
    repair(&stack, json!({})).await;
    assert_eq!(audited(&stack).await.len(), 2);

    repair(
        &stack,
        json!({"tenant": "acme", "channel": "tenant", "start_over": true}),
    )
    .await;
    let entries = audited(&stack).await;
    let unnamed = entries
        .iter()
        .filter(|entry| entry["by"] == "operator")
        .count();
    assert_eq!((entries.len(), unnamed), (3, 1));
}
