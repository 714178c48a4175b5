//! The four kinds of Cognito tokens that `docs/deploying.md` describes, verified with the real
//! settings and the real verifier.

use serde_json::{Value, json};
use tidemark_core::{model::principal::Principal, wire::problem::ProblemCode};
use tidemark_tests::Stack;

use super::{Key, settings::principal};

const ID: &str = include_str!("../auth_tokens/cognito-id.json");
const ACCESS: &str = include_str!("../auth_tokens/cognito-access.json");
const ACCESS_V2: &str = include_str!("../auth_tokens/cognito-access-v2.json");
const MACHINE_V3: &str = include_str!("../auth_tokens/cognito-machine-v3.json");

const ISSUER: (&str, &str) = (
    "JWT_ISSUER",
    "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI",
);
const APP: (&str, &str) = ("JWT_AUDIENCE", "3n4b5urk1ft4fl3mg5e62d9ado");
const USER: &str = "6f2a4d3c-4081-7027-9d1e-6a0b1c2d3e4f";

/// The settings of a deployment that accepts ID tokens.
const FOR_ID: [(&str, &str); 5] = [
    ISSUER,
    APP,
    ("CLAIM_TENANT", "custom:tenant"),
    ("CLAIM_ROLES", "cognito:groups"),
    ("CLAIM_CHANNELS", "cognito:groups"),
];
/// The settings of a deployment that accepts access tokens.
const FOR_ACCESS: [(&str, &str); 6] = [
    ISSUER,
    APP,
    ("CLAIM_AUDIENCE", "client_id"),
    ("CLAIM_TENANT", "tenant"),
    ("CLAIM_ROLES", "cognito:groups"),
    ("CLAIM_CHANNELS", "cognito:groups"),
];
/// The settings of a deployment that accepts tokens of machines, which are in no Cognito group.
const FOR_MACHINES: [(&str, &str); 6] = [
    ISSUER,
    ("JWT_AUDIENCE", "5q6r7s8t9uvmachineclient01"),
    ("CLAIM_AUDIENCE", "client_id"),
    ("CLAIM_TENANT", "tenant"),
    ("CLAIM_ROLES", "groups"),
    ("CLAIM_CHANNELS", "groups"),
];

/// Returns the principal of a token of this kind, issued now.
async fn caller(variables: &[(&str, &str)], token: &str) -> Result<Principal, ProblemCode> {
    let mut claims: Value = serde_json::from_str(token).unwrap();
    claims["iat"] = json!(Stack::new().now().timestamp());
    principal(variables, &[&Key::rsa("test-rsa")], &claims).await
}

fn named(user: &str, groups: &[&str]) -> Principal {
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    Principal {
        tenant: "acme".into(),
        user: user.into(),
        roles: groups.clone(),
        groups,
    }
}

#[tokio::test]
async fn cognito_id_token_names_the_caller() {
    assert_eq!(
        caller(&FOR_ID, ID).await,
        Ok(named(USER, &["admin", "north"]))
    );
    assert_eq!(
        caller(&FOR_ACCESS, ID).await,
        Err(ProblemCode::Unauthenticated),
        "the token has no client_id"
    );
}

#[tokio::test]
async fn cognito_access_token_needs_a_trigger() {
    for variables in [&FOR_ID[..], &FOR_ACCESS[..]] {
        assert_eq!(
            caller(variables, ACCESS).await,
            Err(ProblemCode::Unauthenticated),
            "the token has no tenant"
        );
    }

    assert_eq!(
        caller(&FOR_ACCESS, ACCESS_V2).await,
        Ok(named(USER, &["admin", "north"]))
    );
    assert_eq!(
        caller(&FOR_ID, ACCESS_V2).await,
        Err(ProblemCode::Unauthenticated),
        "the token has no aud"
    );
}

#[tokio::test]
async fn cognito_machine_token_identifies_its_client() {
    assert_eq!(
        caller(&FOR_MACHINES, MACHINE_V3).await,
        Ok(named("5q6r7s8t9uvmachineclient01", &["north"]))
    );
    assert_eq!(
        caller(&FOR_ACCESS, MACHINE_V3).await,
        Err(ProblemCode::Unauthenticated),
        "the token is of another client"
    );
}
