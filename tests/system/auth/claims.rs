//! Claims: a token with a valid signature must also be valid now, come from the configured issuer,
//! be for the configured audience, and identify the caller.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::Duration;
use serde_json::{Value, json};
use tidemark::auth::{AUDIENCE, TTL_S};
use tidemark_tests::{Item, Stack};

use super::{
    Key, assert_accepted, assert_rejected, assert_unauthenticated, good_claims, responses,
};

/// Returns a token whose claim `name` has this value, or which lacks the claim if it is `None`.
fn token_with(stack: &Stack, name: &str, value: Option<Value>) -> String {
    let mut claims = good_claims(stack);
    match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    }
    Key::development().sign(&claims)
}

async fn assert_each_is_rejected(name: &str, values: Vec<Value>) {
    let stack = Stack::new();
    assert_rejected(
        &stack,
        &token_with(&stack, name, None),
        &format!("no {name}"),
    )
    .await;
    for value in values {
        let why: String = format!("{name}: {value}").chars().take(80).collect();
        assert_rejected(&stack, &token_with(&stack, name, Some(value)), &why).await;
    }
}

async fn assert_each_is_accepted(name: &str, values: Vec<Value>) {
    let stack = Stack::new();
    for value in values {
        let why: String = format!("{name}: {value}").chars().take(80).collect();
        assert_accepted(&stack, &token_with(&stack, name, Some(value)), &why).await;
    }
}

fn now() -> i64 {
    Stack::new().now().timestamp()
}

#[tokio::test]
async fn expired_or_unlimited_token_is_rejected() {
    let values = vec![
        json!(now()),
        json!(now() - 1),
        json!(0),
        json!(-1),
        json!(null),
        json!((now() + 600).to_string()),
        json!(true),
        json!([now() + 600]),
        json!(now() + TTL_S + 1),
        json!(1e18),
    ];

    assert_each_is_rejected("exp", values).await;
    assert_each_is_accepted(
        "exp",
        vec![
            json!(now() + 1),
            json!(now() as f64 + 0.5),
            json!(now() + TTL_S),
        ],
    )
    .await;
}

#[tokio::test]
async fn token_expires_as_the_clock_advances() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    stack.advance(Duration::seconds(TTL_S) - Duration::milliseconds(1));
    assert_accepted(&stack, &token, "a millisecond before").await;
    stack.advance(Duration::milliseconds(1));
    for response in responses(&stack, &token).await {
        assert_unauthenticated(&response, "at the very moment");
    }
}

#[tokio::test]
async fn token_is_rejected_before_its_nbf() {
    let stack = Stack::new();
    for ahead in [61, 3600] {
        let token = token_with(&stack, "nbf", Some(json!(now() + ahead)));
        assert_rejected(&stack, &token, &format!("{ahead} seconds ahead")).await;
    }
    assert_each_is_accepted("nbf", vec![json!(now() + 60), json!(now()), json!(0)]).await;
}

#[tokio::test]
async fn malformed_nbf_is_rejected() {
    let stack = Stack::new();
    for value in [json!((now() + 3600).to_string()), json!([now() + 3600])] {
        assert_rejected(
            &stack,
            &token_with(&stack, "nbf", Some(value.clone())),
            &value.to_string(),
        )
        .await;
    }
}

#[tokio::test]
async fn issue_time_is_validated() {
    let stack = Stack::new();
    // The token expires in ten minutes.
    let rejected = [
        json!(now() + 61),
        json!(now() + 599),
        json!(now() - TTL_S + 599),
        json!(-1e18),
        json!(now().to_string()),
        json!(true),
        json!([now()]),
        json!(null),
    ];

    for issued in rejected {
        assert_rejected(
            &stack,
            &token_with(&stack, "iat", Some(issued.clone())),
            &issued.to_string(),
        )
        .await;
    }

    assert_each_is_accepted(
        "iat",
        vec![
            json!(now() + 60),
            json!(now() - 3600),
            json!(now() as f64 - 0.5),
            json!(now() - TTL_S + 600),
        ],
    )
    .await;
    assert_accepted(&stack, &token_with(&stack, "iat", None), "no iat").await;
}

#[tokio::test]
async fn critical_header_extension_is_rejected() {
    let stack = Stack::new();
    let genuine = Key::development().sign(&good_claims(&stack));
    for crit in [
        json!(["b64"]),
        json!(["exp"]),
        json!([]),
        json!(null),
        json!("exp"),
        json!({}),
    ] {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "tidemark-development", "crit": crit, "b64": false});
        let parts: Vec<_> = genuine.split('.').collect();
        let signed = format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(header.to_string()),
            parts[1]
        );
        let token = format!("{signed}.{}", Key::development().signature(&signed));
        assert_rejected(&stack, &token, &crit.to_string()).await;
    }

    // A header signed in the same way, without `crit`, is accepted.
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "tidemark-development", "x": 1});
    let signed = format!(
        "{}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(header.to_string()),
        genuine.split('.').nth(1).unwrap()
    );
    assert_accepted(
        &stack,
        &format!("{signed}.{}", Key::development().signature(&signed)),
        "no crit",
    )
    .await;
}

#[tokio::test]
async fn token_of_another_issuer_is_rejected() {
    let own = tidemark::auth::ISSUER;
    let near = own.trim_end_matches('/');
    let values = vec![
        json!("https://evil.example/"),
        json!(near),
        json!(format!("{own}x")),
        json!([own]),
        json!(null),
        json!(""),
    ];
    assert_each_is_rejected("iss", values).await;
}

#[tokio::test]
async fn token_for_another_audience_is_rejected() {
    let values = vec![
        json!("other"),
        json!(""),
        json!(["other"]),
        json!(["other", "Tidemark"]),
        json!([]),
        json!(null),
        json!(5),
        json!([[AUDIENCE]]),
        json!([AUDIENCE, 5]),
        json!({AUDIENCE: true}),
        json!("other tidemark"),
    ];

    assert_each_is_rejected("aud", values).await;
    assert_each_is_accepted(
        "aud",
        vec![
            json!(AUDIENCE),
            json!([AUDIENCE]),
            json!(["other", AUDIENCE]),
        ],
    )
    .await;
}

#[tokio::test]
async fn token_without_tenant_or_user_is_rejected() {
    let values = vec![
        json!(""),
        json!(null),
        json!(5),
        json!(["acme"]),
        json!({}),
        json!("x".repeat(257)),
        json!("é".repeat(129)),
    ];

    for claim in ["tenant", "sub"] {
        assert_each_is_rejected(claim, values.clone()).await;
        assert_each_is_accepted(
            claim,
            vec![json!("x".repeat(256)), json!(" "), json!("a#b")],
        )
        .await;
    }
}

#[tokio::test]
async fn token_with_over_100_channels_is_rejected() {
    let stack = Stack::new();
    let channels = |count: usize| {
        Some(json!(
            (0..count).map(|n| format!("group-{n}")).collect::<Vec<_>>()
        ))
    };

    assert_rejected(
        &stack,
        &token_with(&stack, "channels", channels(101)),
        "101 channels",
    )
    .await;
    assert_accepted(
        &stack,
        &token_with(&stack, "channels", channels(100)),
        "100 channels",
    )
    .await;
}

#[tokio::test]
async fn invalid_channels_claim_is_rejected() {
    let stack = Stack::new();
    for value in [json!(5), json!({"north": true}), json!(true)] {
        let why: String = value.to_string().chars().take(80).collect();
        assert_rejected(&stack, &token_with(&stack, "channels", Some(value)), &why).await;
    }

    assert_each_is_accepted(
        "channels",
        vec![
            json!("north"),
            json!([]),
            json!(null),
            json!(["x".repeat(256)]),
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_channel_names_are_ignored() {
    let stack = Stack::new();
    let odd = [
        json!(""),
        json!(5),
        json!(null),
        json!("x".repeat(257)),
        json!(["north"]),
        json!({}),
        json!("é".repeat(129)),
    ];

    for value in odd {
        let why: String = value.to_string().chars().take(80).collect();
        for list in [
            json!([value.clone()]),
            json!([value.clone(), "north"]),
            json!(["north", value, "", "south"]),
        ] {
            let token = token_with(&stack, "channels", Some(list));
            assert_accepted(&stack, &token, &why).await;
        }
    }
    assert_accepted(
        &stack,
        &token_with(&stack, "channels", Some(json!(""))),
        "an empty text",
    )
    .await;

    assert_valid_names_are_used(&stack).await;
    assert_ignored_names_count_toward_the_limit(&stack).await;
}

/// Checks that a list with invalid names makes the caller a member of the groups with valid names.
async fn assert_valid_names_are_used(stack: &Stack) {
    let token = token_with(stack, "channels", Some(json!(["", "north", 5])));
    let item = |channel: &str| Item::create_as("task", channel, json!({})).channel(channel);
    let body = json!({"device_id": "tablet", "items": [item("group/north"), item("group/"), item("group/5")]});
    let results = stack.post("sync/push", &token, &body).await.ok()["results"].clone();

    let statuses: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["ok", "error", "error"], "{results}");
}

/// Checks that the limit applies to the whole list, with the names that are ignored.
async fn assert_ignored_names_count_toward_the_limit(stack: &Stack) {
    let list: Vec<_> = (0..101).map(|_| "").collect();
    let token = token_with(stack, "channels", Some(json!(list)));
    let response = stack.post("sync/pull", &token, &json!({})).await;
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn invalid_roles_claim_is_rejected() {
    let stack = Stack::new();
    for value in [json!(5), json!([5]), json!({"admin": true}), json!(true)] {
        assert_rejected(
            &stack,
            &token_with(&stack, "roles", Some(value.clone())),
            &value.to_string(),
        )
        .await;
    }
    assert_each_is_accepted("roles", vec![json!("admin"), json!([]), json!(null)]).await;
}

#[tokio::test]
async fn unknown_claims_are_ignored() {
    assert_each_is_accepted(
        "https://acme.example/extra",
        vec![json!({"deep": [[[]]]}), json!(null), json!(1e300)],
    )
    .await;
}
