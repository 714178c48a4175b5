//! Corrupt and forged pull tokens (§4.1): the response is 400 `invalid_token` or a safe start,
//! never a 5xx.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidemark_core::model::{
    channel::Channel,
    position::{Position, Sequence},
    token::{Progress, Token},
};
use tidemark_tests::{ApiResponse, Item, Stack};

use super::assert_problem;

async fn pull(stack: &Stack, since_token: &str) -> ApiResponse {
    let token = stack.token("acme", "ana", &[], &["north"]);
    stack
        .post("sync/pull", &token, &json!({"since_token": since_token}))
        .await
}

async fn next_token(stack: &Stack) -> String {
    let token = stack.token("acme", "ana", &[], &[]);
    let response = stack
        .post("sync/pull", &token, &json!({"since_token": null}))
        .await;
    response.ok()["next_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn garbage_token_is_invalid() {
    let stack = Stack::new();
    let mut garbage: Vec<String> = [
        "",
        " ",
        "garbage",
        "tok_20251203_123",
        "tm1_",
        "tm1_!!!!",
        "tm1_AAAA",
        "tm1_AAAAAAAAAAAAAAAA",
        "tm1_\u{1f980}",
        "\0",
    ]
    .map(ToOwned::to_owned)
    .to_vec();

    let genuine = next_token(&stack).await;
    garbage.push(genuine.replace("tm1_", "tm2_"));
    garbage.push(genuine.to_ascii_uppercase());
    garbage.push(format!("{genuine}="));
    garbage.push(format!(" {genuine}"));
    garbage.push(format!("tm1_{}", "A".repeat(300 * 1024)));

    for token in garbage {
        let shown: String = token.chars().take(60).collect();
        let response = pull(&stack, &token).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (400, &json!("invalid_token")),
            "{shown}: {}",
            response.text
        );
    }
}

#[tokio::test]
async fn invalid_token_error_names_its_field() {
    let stack = Stack::new();
    assert_problem(
        &pull(&stack, "garbage").await,
        400,
        "invalid_token",
        Some("since_token"),
        "garbage",
    );
}

#[tokio::test]
async fn altered_token_is_invalid() {
    let stack = Stack::new();
    let genuine = next_token(&stack).await;

    for at in 0..genuine.len() {
        let letter = &genuine[at..=at];
        let flipped = if letter == "A" { "B" } else { "A" };
        for damaged in [
            format!("{}{flipped}{}", &genuine[..at], &genuine[at + 1..]),
            format!("{}{}", &genuine[..at], &genuine[at + 1..]),
            genuine[..at].to_owned(),
        ] {
            let response = pull(&stack, &damaged).await;
            assert_eq!(
                (response.status, &response.json()["code"]),
                (400, &json!("invalid_token")),
                "{damaged}: {}",
                response.text
            );
        }
    }
    assert_eq!(pull(&stack, &genuine).await.status, 200);
}

/// Returns positions before, in and after every log.
fn forged_positions() -> [Position; 6] {
    let at = |epoch, digits: &str, late| Position {
        epoch,
        sequence: Sequence::parse(digits).unwrap(),
        late,
    };
    [
        Position::START,
        at(0, "1", 1),
        at(1, "0", 0),
        at(1, "1", u32::MAX),
        at(1, &"9".repeat(40), 0),
        at(u32::MAX, &"9".repeat(40), u32::MAX),
    ]
}

/// Returns keys after which a snapshot continues: names of every kind, and names that are too long.
fn forged_keys() -> [Option<String>; 9] {
    let long = ["x".repeat(1025), "x".repeat(5000)];
    [
        None,
        Some(""),
        Some("meter"),
        Some("meter#"),
        Some("\0"),
        Some("#%"),
        Some("~"),
        Some(&long[0]),
        Some(&long[1]),
    ]
    .map(|key| key.map(ToOwned::to_owned))
}

/// Returns the progress in the log and in a snapshot at this position and time, with everything
/// else that a forger may choose.
fn forged_progress(position: Position, at: DateTime<Utc>) -> Vec<Progress> {
    let positions = forged_positions();
    let segment_keys = [
        None,
        Some(position),
        Some(positions[0]),
        Some(positions[positions.len() - 1]),
    ];
    let log = segment_keys.map(|segment_key| Progress::Log {
        position,
        at,
        segment_key,
    });
    let snapshot = forged_keys().map(|after| Progress::Snapshot {
        head: position,
        head_read_at: at,
        after,
    });

    log.into_iter().chain(snapshot).collect()
}

/// Returns a token with the same progress in a channel of each kind, of which the caller may read
/// two.
fn token_at(progress: &Progress) -> Token {
    let channels = [
        Channel::Tenant,
        Channel::User("ben".into()),
        Channel::Group("north".into()),
    ];
    Token {
        channels: channels
            .into_iter()
            .map(|channel| (channel, progress.clone()))
            .collect(),
    }
}

#[tokio::test]
async fn forged_token_never_causes_server_error() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    for n in 0..3 {
        let create = Item::create_as("meter", &format!("t{n}"), json!({}));
        ana.push_one(create.version(1)).await;
    }
    stack.settle().await;

    let moments = [
        DateTime::UNIX_EPOCH,
        stack.now(),
        DateTime::<Utc>::MAX_UTC,
        DateTime::<Utc>::MIN_UTC,
    ];
    let forged = forged_positions()
        .into_iter()
        .flat_map(|position| moments.map(|at| forged_progress(position, at)))
        .flatten();

    let mut failures = Vec::new();
    for progress in forged {
        let response = pull(&stack, &token_at(&progress).encode()).await;
        if ![200, 400].contains(&response.status) {
            let shown = format!("{} for {progress:?}", response.status);
            failures.push(shown.chars().take(250).collect::<String>());
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
