//! Pull tokens that were damaged or made up (§4.1): 400 `invalid_token`, or a safe start; never an
//! outage.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidemark_core::{
    channel::Channel,
    sequence::position::{Position, Sequence},
    token::{Progress, Token},
};
use tidemark_tests::{ApiResponse, Stack};

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
async fn a_since_token_of_garbage_is_an_invalid_token() {
    let stack = Stack::new();
    let mut made_up: Vec<String> = [
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
    made_up.push(genuine.replace("tm1_", "tm2_"));
    made_up.push(genuine.to_ascii_uppercase());
    made_up.push(format!("{genuine}="));
    made_up.push(format!(" {genuine}"));
    made_up.push(format!("tm1_{}", "A".repeat(300 * 1024)));
    for token in made_up {
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
async fn an_invalid_token_names_the_field_it_came_in() {
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
async fn a_token_with_a_flipped_or_missing_letter_is_an_invalid_token() {
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

#[tokio::test]
async fn a_forged_token_starts_over_or_goes_on_and_is_never_an_outage() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    for n in 0..3 {
        ana.push_one(json!({"client_temp_id": format!("t{n}"), "resource_type": "meter", "action": "create", "client_version": 1, "payload": {}}))
            .await;
    }
    stack.settle().await;
    let at = |epoch, digits: &str, late| Position {
        epoch,
        sequence: Sequence::parse(digits).unwrap(),
        late,
    };
    let positions = [
        Position::START,
        at(0, "1", 1),
        at(1, "0", 0),
        at(1, "1", u32::MAX),
        at(1, &"9".repeat(40), 0),
        at(u32::MAX, &"9".repeat(40), u32::MAX),
    ];
    let moments = [
        DateTime::UNIX_EPOCH,
        stack.now(),
        DateTime::<Utc>::MAX_UTC,
        DateTime::<Utc>::MIN_UTC,
    ];
    let afters = [
        None,
        Some(""),
        Some("meter"),
        Some("meter#"),
        Some("\0"),
        Some("#%"),
        Some("~"),
    ]
    .map(|key| key.map(ToOwned::to_owned));
    let mut outages = Vec::new();
    let long = [Some("x".repeat(1025)), Some("x".repeat(5000))];
    for position in positions {
        for moment in moments {
            let within = [
                None,
                Some(position),
                Some(positions[0]),
                Some(positions[positions.len() - 1]),
            ];
            let mut forged = within
                .map(|within| Progress::Log {
                    position,
                    at: moment,
                    within,
                })
                .to_vec();
            forged.extend(afters.iter().chain(&long).map(|after| Progress::Snapshot {
                noted: position,
                noted_at: moment,
                after: after.clone(),
            }));
            for progress in forged {
                let channels = [
                    Channel::Tenant,
                    Channel::User("ben".into()),
                    Channel::Group("north".into()),
                ];
                let token = Token {
                    channels: channels
                        .into_iter()
                        .map(|channel| (channel, progress.clone()))
                        .collect(),
                };
                let response = pull(&stack, &token.encode()).await;
                if ![200, 400].contains(&response.status) {
                    let shown: String = format!("{} for {progress:?}", response.status)
                        .chars()
                        .take(250)
                        .collect();
                    outages.push(shown);
                }
            }
        }
    }
    assert!(outages.is_empty(), "{outages:#?}");
}
