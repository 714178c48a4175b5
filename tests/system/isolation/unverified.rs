//! Every route rejects every token that does not verify, without a part of the data and without an
//! effect.

use std::collections::BTreeSet;

use chrono::Duration;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::{GROUP, IntruderKnowledge, OWN, ask, asks, rows, summary, tenant};
use crate::auth::{Key, good_claims};

/// Returns the claims of an admin of the tenant.
fn admin_claims(stack: &Stack) -> Value {
    let mut claims = good_claims(stack);
    claims["sub"] = "root".into();
    claims["roles"] = json!(["admin"]);
    claims
}

/// Returns this token with the signature of another one.
fn with_signature_of(token: &str, other: &str) -> String {
    let parts = |token: &str| -> Vec<String> { token.split('.').map(str::to_owned).collect() };
    let (own, other) = (parts(token), parts(other));
    format!("{}.{}.{}", own[0], own[1], other[2])
}

/// Returns a token with a regular header and an empty signature.
fn unsigned(claims: &Value) -> String {
    let header = Header {
        alg: Algorithm::EdDSA,
        kid: None,
        ..Header::default()
    };
    let signed = Key::development().sign_under(&header, claims);
    format!("{}.", signed.rsplit_once('.').expect("a signature").0)
}

/// Returns values of the `Authorization` header that do not verify, each with a description. If
/// they verified, all of these tokens would be those of an admin of the tenant.
fn unverified(stack: &Stack) -> Vec<(&'static str, Option<String>)> {
    let good = admin_claims(stack);
    let key = Key::development();
    let signed = key.sign(&good);
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        key.sign(&claims)
    };

    let expired = (stack.now() - Duration::seconds(1)).timestamp();
    let other_key = Key::ed25519(b"some other key of thirty-two byt", "tidemark-development");
    let tokens = [
        ("malformed", "nonsense".to_owned()),
        ("cut off", signed[..signed.len() - 1].to_owned()),
        ("expired", with("exp", expired.into())),
        ("wrong audience", with("aud", "somebody else".into())),
        (
            "wrong issuer",
            with("iss", "https://issuer.example/".into()),
        ),
        (
            "another's signature",
            with_signature_of(&signed, &key.sign(&good_claims(stack))),
        ),
        ("another key", other_key.sign(&good)),
        ("no signature", unsigned(&good)),
    ];

    let mut headers = vec![
        ("no token", None),
        ("no bearer token", Some(format!("Basic {signed}"))),
    ];
    headers.extend(tokens.map(|(what, token)| (what, Some(format!("Bearer {token}")))));
    headers
}

#[tokio::test]
async fn unverified_tokens_reach_no_route() {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    let before = rows(&stack);

    for (what, token) in &unverified(&stack) {
        for it in asks() {
            let response = ask(&stack, it, &known, token.as_deref()).await;
            let place = format!("{what}: {} {}", it.method, it.route);
            assert_eq!(summary(&response), "401 unauthenticated", "{place}");
            assert!(
                !response.text.contains(OWN)
                    && !response.text.contains(GROUP)
                    && !response.text.contains(&known.photo),
                "{place}"
            );
            assert!(rows(&stack) == before, "{place} changed a row");
        }
    }

    assert_accepted_everywhere(&stack, &known).await;
}

/// Checks that each route accepts the token from which the unverified tokens are derived.
async fn assert_accepted_everywhere(stack: &Stack, known: &IntruderKnowledge) {
    let signed = Key::development().sign(&admin_claims(stack));
    let authorization = format!("Bearer {signed}");
    let mut statuses = BTreeSet::new();
    for it in asks() {
        statuses.insert(ask(stack, it, known, Some(&authorization)).await.status);
    }
    assert!(
        !statuses.contains(&401) && statuses.contains(&200),
        "{statuses:?}"
    );
}
