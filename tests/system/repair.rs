//! Repair: changes that the stream lost before they were sequenced are found in the resources and
//! appended to the log. Exactly these are appended, despite concurrent writers and crashes of the
//! function.

mod adversity;
mod requests;
mod reset;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tidemark_aws::tables::changes::entries;
use tidemark_tests::{Device, Stack, scenario::meter};

/// Returns an admin, who may write in every channel.
fn admin(stack: &Stack) -> Device<'_> {
    Device::new(
        stack,
        stack.token("acme", "boss", &["admin"], &["north"]),
        "desk",
    )
}

async fn write(
    device: &Device<'_>,
    action: &str,
    id: &str,
    channel: &str,
    version: u64,
    title: &str,
) {
    let item = meter(action, id, version, json!({"title": title})).channel(channel);
    assert_eq!(device.push_one(item).await["status"], "ok", "{action} {id}");
}

/// Runs a repair and returns its response.
async fn repair(stack: &Stack, request: Value) -> Value {
    let response = stack.invoke("changelog", &json!({"repair": request})).await;
    assert!(response["code"].is_null(), "{response}");
    response
}

/// Returns the counts of a response: looked at, missing, appended.
fn counts(response: &Value) -> [u64; 3] {
    ["looked_at", "missing", "appended"].map(|count| response[count].as_u64().expect("a count"))
}

/// Makes changes that the stream loses, among others that are sequenced, and returns a device that
/// has pulled before.
///
/// The log has an older version of `a`; the delete of `b` and the create of `c` were lost; `d` was
/// sequenced before and `e` afterwards.
async fn outage(stack: &Stack) -> Device<'_> {
    let writer = admin(stack);
    for id in ["a", "b", "d"] {
        write(&writer, "create", id, "tenant", 0, "before").await;
    }
    stack.settle().await;
    let mut follower = stack.device("ana", "phone");
    follower.pull().await;

    stack.advance(chrono::Duration::hours(1));
    write(&writer, "update", "a", "tenant", 1, "unheard").await;
    write(&writer, "update", "a", "tenant", 2, "unheard again").await;
    write(&writer, "delete", "b", "tenant", 1, "").await;
    write(&writer, "create", "c", "tenant", 0, "unheard").await;
    write(
        &writer,
        "create",
        "u",
        "user/ana",
        0,
        "in a channel that was never sequenced",
    )
    .await;

    stack.advance(chrono::Duration::hours(25));
    stack.forget().await;
    write(&writer, "create", "e", "tenant", 0, "after").await;
    stack.settle().await;
    follower.pull().await;

    assert_eq!(
        follower.live().into_keys().collect::<Vec<_>>(),
        ["a", "b", "d", "e"]
    );
    assert_eq!(
        follower.live()["a"].server_version,
        1,
        "the lost change is not delivered"
    );

    stack.advance(chrono::Duration::minutes(6));
    follower
}

/// Checks that a device that had pulled before, a new device and the table agree byte for byte, and
/// that no channel was reset.
async fn assert_mended(stack: &Stack, mut follower: Device<'_>) {
    follower.pull().await;
    assert_eq!(follower.resets, 0);
    let mut fresh = Device::new(stack, follower.token.clone(), "fresh");
    fresh.pull().await;
    assert_eq!(follower.live(), fresh.live());

    for row in stack
        .rows("resources")
        .iter()
        .filter(|row| ["acme#tenant", "acme#user/ana"].contains(&text(&row["pk"])))
    {
        let id = text(&row["sk"]).rsplit('#').next().unwrap_or_default();
        let held = fresh
            .live()
            .remove(id)
            .map(|held| (held.server_version.to_string(), held.payload));

        let stored = || {
            (
                row["server_version"]["N"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                Some(text(&row["payload"]).to_owned()),
            )
        };
        let is_deleted = !row["tombstone"].is_null();
        assert_eq!(held, (!is_deleted).then(stored), "{id}");
    }
}

fn text(value: &Value) -> &str {
    value["S"].as_str().expect("text")
}

/// Returns the versions in the log of the tenant's channel, in order.
fn versions(stack: &Stack) -> Vec<u64> {
    let mut rows = stack.segments();
    rows.retain(|row| row["pk"]["S"] == "acme#tenant");
    rows.sort_by_key(|row| row["sk"]["S"].to_string());
    let entries = rows.iter().flat_map(|row| {
        let packed = BASE64_STANDARD
            .decode(row["entries"]["B"].as_str().expect("bytes"))
            .expect("base64");
        entries::unpack(&packed).expect("entries")
    });
    entries.map(|entry| entry.server_version).collect()
}

/// Returns the channels of a response, each without the time of its oldest missing change.
fn channels_without_times(response: &Value) -> Vec<Value> {
    let mut channels = response["channels"].as_array().expect("a list").clone();
    for channel in &mut channels {
        let channel = channel.as_object_mut().expect("an object");
        channel.remove("oldest").expect("a time");
    }
    channels
}

#[tokio::test]
async fn repair_appends_exactly_the_lost_changes() {
    let stack = Stack::new();
    let mut follower = outage(&stack).await;
    let response = repair(&stack, json!({})).await;
    assert_eq!(
        (counts(&response), &response["next_cursor"]),
        ([6, 4, 4], &Value::Null)
    );

    let reported = |channel: &str, missing: u64| json!({"tenant": "acme", "channel": channel, "missing": missing, "appended": missing});
    assert_eq!(
        channels_without_times(&response),
        [reported("tenant", 3), reported("user/ana", 1)]
    );

    let mut changes = follower.pull().await;
    changes.sort_by_key(|change| change["id"].to_string());
    let reported: Vec<_> = changes
        .iter()
        .map(|it| {
            (
                it["id"].as_str(),
                it["action"].as_str(),
                it["server_version"].as_u64(),
            )
        })
        .collect();

    let expected = [
        ("a", "update", 3),
        ("b", "delete", 2),
        ("c", "create", 1),
        ("u", "create", 1),
    ];
    assert_eq!(
        reported,
        expected.map(|(id, action, version)| (Some(id), Some(action), Some(version)))
    );

    assert_mended(&stack, follower).await;
    let log = stack.rows("changes");
    assert_eq!(
        counts(&repair(&stack, json!({})).await),
        [6, 0, 0],
        "a second repair finds nothing"
    );
    assert_eq!(stack.rows("changes"), log);
}

#[tokio::test]
async fn channel_continues_after_repair() {
    let stack = Stack::new();
    let mut follower = outage(&stack).await;
    repair(&stack, json!({"tenant": "acme"})).await;

    let writer = admin(&stack);
    write(&writer, "update", "a", "tenant", 3, "later").await;
    write(
        &writer,
        "update",
        "u",
        "user/ana",
        1,
        "the first record of its channel",
    )
    .await;
    stack.settle().await;

    follower.pull().await;
    assert_eq!(
        (
            follower.live()["a"].server_version,
            follower.live()["u"].server_version
        ),
        (4, 2)
    );
    assert_mended(&stack, follower).await;
}

/// Creates a conflict about the second version of a meter and resolves it. Returns its id.
async fn resolved_conflict(stack: &Stack, id: &str, title: &str) -> Value {
    let item = meter("update", id, 1, json!({"title": title}));
    let conflict = stack.device("ben", "phone").push_one(item).await["conflict_id"].clone();
    let path = format!(
        "conflicts/{}/resolve",
        conflict.as_str().expect("a conflict")
    );
    let decision = json!({"resolution": "accept_client"});
    stack.post(&path, &admin(stack).token, &decision).await.ok();
    conflict
}

#[tokio::test]
async fn missed_resolution_is_delivered_with_its_change() {
    let stack = Stack::new();
    let writer = admin(&stack);
    for (id, title) in [("a", "one"), ("b", "one")] {
        write(&writer, "create", id, "tenant", 0, title).await;
        write(&writer, "update", id, "tenant", 1, "two").await;
    }

    let resolve = async |id, title| resolved_conflict(&stack, id, title).await;
    let delivered_before = resolve("a", "before").await;
    stack.settle().await;
    let mut follower = stack.device("ana", "phone");
    follower.pull().await;
    let missed = [resolve("a", "missed").await, resolve("b", "missed").await];
    stack.advance(chrono::Duration::hours(26));
    stack.forget().await;
    assert_eq!(counts(&repair(&stack, json!({})).await)[2], 2);
    let mut changes = follower.pull().await;

    changes.sort_by_key(|change| change["id"].to_string());
    let reported: Vec<&Value> = changes
        .iter()
        .map(|change| &change["conflict"]["id"])
        .collect();
    assert_eq!(reported, missed.iter().collect::<Vec<_>>());
    assert!(
        changes.iter().all(|change| change["conflicts"].is_null()),
        "{delivered_before} was delivered before: {changes:?}"
    );
}

#[tokio::test]
async fn expired_changes_are_not_missing() {
    let stack = Stack::new();
    let writer = admin(&stack);
    write(
        &writer,
        "create",
        "old",
        "tenant",
        0,
        "sequenced and expired",
    )
    .await;
    stack.settle().await;

    stack.advance(chrono::Duration::days(32));
    let old = stack.segments().remove(0);
    stack.dynamodb(
        "DeleteItem",
        &json!({"TableName": "changes", "Key": {"pk": old["pk"], "sk": old["sk"]}}),
    );

    write(&admin(&stack), "create", "new", "tenant", 0, "forgotten").await;
    stack.forget().await;
    stack.advance(chrono::Duration::hours(1));
    assert_eq!(counts(&repair(&stack, json!({})).await), [2, 1, 1]);

    // An explicit `since` also appends changes that may have expired, which is harmless.
    let since = (stack.now() - chrono::Duration::days(40)).to_rfc3339();
    assert_eq!(
        counts(&repair(&stack, json!({"since": since})).await),
        [2, 1, 1]
    );
    assert_eq!(
        counts(&repair(&stack, json!({"since": since})).await),
        [2, 0, 0]
    );
}

#[tokio::test]
async fn recent_changes_are_left_to_the_stream() {
    let stack = Stack::new();
    write(&admin(&stack), "create", "a", "tenant", 0, "young").await;
    stack.advance(chrono::Duration::minutes(4));
    assert_eq!(counts(&repair(&stack, json!({})).await), [1, 0, 0]);
    stack.advance(chrono::Duration::minutes(2));
    assert_eq!(counts(&repair(&stack, json!({})).await), [1, 1, 1]);

    // The stream delivers the record nevertheless: the log contains the change twice with the same
    // version, which is harmless.
    let mut follower = stack.device("ana", "phone");
    follower.pull().await;
    stack.settle().await;
    assert!(
        follower
            .pull()
            .await
            .iter()
            .all(|change| change["server_version"] == 1)
    );
    assert_mended(&stack, follower).await;
}

#[tokio::test]
async fn older_records_never_follow_repaired_versions() {
    let stack = Stack::new();
    let writer = admin(&stack);
    write(&writer, "create", "a", "tenant", 0, "one").await;
    stack.settle().await;
    let mut follower = stack.device("ana", "phone");
    follower.pull().await;

    // The consumer is down and the stream keeps these records, but the repair is faster.
    write(&writer, "update", "a", "tenant", 1, "two").await;
    write(&writer, "update", "a", "tenant", 2, "three").await;
    stack.advance(chrono::Duration::hours(2));
    assert_eq!(counts(&repair(&stack, json!({})).await), [1, 1, 1]);
    assert_eq!(follower.pull().await[0]["server_version"], 3);

    stack.settle().await;
    assert!(
        follower
            .pull()
            .await
            .iter()
            .all(|change| change["server_version"] == 3)
    );
    assert_eq!(
        versions(&stack),
        [1, 3, 3],
        "the second version is not in the log: it would follow the third"
    );

    // Changes after the repair are sequenced as usual, each version.
    write(&writer, "update", "a", "tenant", 3, "four").await;
    write(&writer, "update", "a", "tenant", 4, "five").await;
    stack.advance(chrono::Duration::minutes(2));
    write(&writer, "update", "a", "tenant", 5, "six").await;
    stack.settle().await;
    follower.pull().await;
    assert_eq!(follower.live()["a"].server_version, 6);
    assert_mended(&stack, follower).await;
}
