//! Settings for identity providers (§1): which claims have which meaning, and where the keys come
//! from.

mod keys;

use std::collections::BTreeMap;

use lambda_http::{Body, Request, http};
use serde_json::{Value, json};
use tidemark_aws::{Clock, Settings, auth::Verifier};
use tidemark_core::{model::principal::Principal, wire::problem::ProblemCode};
use tidemark_tests::Stack;

use super::Key;

const COGNITO: &str = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI";

/// Returns the settings of a function with these variables and those of the tables.
pub(super) fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let tables = [
        "RESOURCES_TABLE",
        "CHANGES_TABLE",
        "SYNC_BATCHES_TABLE",
        "SYNC_ITEMS_TABLE",
        "CONFLICTS_TABLE",
        "SUBMISSION_MEDIA_TABLE",
        "DEVICES_TABLE",
        "UNIQUE_KEYS_TABLE",
        "AUDIT_LOG_TABLE",
        "MEDIA_BUCKET",
    ];

    let environment: BTreeMap<&str, &str> = tables
        .iter()
        .map(|name| (*name, "table"))
        .chain(variables.iter().copied())
        .collect();
    Settings::from_env(&|name| environment.get(name).map(|value| (*value).to_owned()))
        .map_err(|error| error.to_string())
}

/// Returns a request with this bearer token.
pub(super) fn request(token: &str) -> Request {
    http::Request::builder()
        .header("authorization", format!("Bearer {token}"))
        .body(Body::Empty)
        .unwrap()
}

fn key_set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}).to_string()
}

pub(super) async fn principal(
    variables: &[(&str, &str)],
    keys: &[&Key],
    claims: &Value,
) -> Result<Principal, ProblemCode> {
    let stack = Stack::new();
    let keys = key_set(keys);
    let settings = settings(&[variables, &[("JWKS", keys.as_str())]].concat()).unwrap();
    let now = stack.now();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();

    let mut claims = claims.clone();
    claims["iat"] = json!(now.timestamp());
    claims["exp"] = json!(now.timestamp() + 60);
    verifier
        .principal(&request(&Key::rsa("test-rsa").sign(&claims)))
        .await
        .map_err(|failure| failure.problem().code)
}

fn ana() -> Principal {
    Principal {
        tenant: "acme".into(),
        user: "7d8a".into(),
        roles: vec!["admin".into()],
        groups: vec!["north".into(), "south".into()],
    }
}

#[tokio::test]
async fn cognito_access_token_identifies_the_caller() {
    let variables = [
        ("JWT_ISSUER", COGNITO),
        ("JWT_AUDIENCE", "3n4b5urk1ft4fl3mg5e62d9ado"),
        ("CLAIM_AUDIENCE", "client_id"),
        ("CLAIM_CHANNELS", "cognito:groups"),
        ("CLAIM_TENANT", "custom:tenant"),
        ("CLAIM_ROLES", "custom:role"),
    ];

    let claims = json!({
        "sub": "7d8a", "cognito:groups": ["north", "south"], "iss": COGNITO, "client_id": "3n4b5urk1ft4fl3mg5e62d9ado",
        "origin_jti": "aaaa", "event_id": "bbbb", "token_use": "access", "scope": "openid", "auth_time": 1_700_000_000,
        "jti": "cccc", "username": "ana", "custom:tenant": "acme", "custom:role": "admin",
    });

    assert_eq!(
        principal(&variables, &[&Key::rsa("test-rsa")], &claims).await,
        Ok(ana())
    );

    for (claim, value) in [
        ("client_id", json!("another-app")),
        ("custom:tenant", json!(null)),
        ("client_id", json!(null)),
    ] {
        let mut wrong = claims.clone();
        wrong[claim] = value;
        let rejected = principal(&variables, &[&Key::rsa("test-rsa")], &wrong).await;
        assert_eq!(rejected, Err(ProblemCode::Unauthenticated), "{claim}");
    }
}

#[tokio::test]
async fn unconfigured_claims_are_ignored() {
    let variables = [
        ("JWT_ISSUER", "https://id.example/"),
        ("JWT_AUDIENCE", "app"),
        ("CLAIM_TENANT", "org"),
        ("CLAIM_ROLES", "grants"),
        ("CLAIM_CHANNELS", "teams"),
        ("CLAIM_USER", "uid"),
    ];
    let claims = json!({"iss": "https://id.example/", "aud": "app", "org": "acme", "uid": "7d8a", "grants": "admin", "teams": ["north", "south"],
        "tenant": "other", "sub": "someone else", "roles": ["root"], "channels": ["everything"]});
    assert_eq!(
        principal(&variables, &[&Key::rsa("test-rsa")], &claims).await,
        Ok(ana())
    );
}

#[tokio::test]
async fn empty_variables_select_default_claims() {
    let variables = [
        ("JWT_ISSUER", "i"),
        ("JWT_AUDIENCE", "a"),
        ("CLAIM_TENANT", ""),
        ("CLAIM_ROLES", ""),
        ("CLAIM_CHANNELS", ""),
        ("CLAIM_USER", ""),
        ("CLAIM_AUDIENCE", ""),
        ("JWKS_URL", ""),
        ("LOG_RETENTION_DAYS", ""),
        ("BATCH_RETENTION_DAYS", ""),
    ];

    let claims = json!({"iss": "i", "aud": ["a"], "tenant": "acme", "sub": "7d8a", "roles": ["admin"], "channels": ["north", "south"]});
    assert_eq!(
        principal(&variables, &[&Key::rsa("test-rsa")], &claims).await,
        Ok(ana())
    );
}

/// Returns for each token the code with which a verifier with these settings and keys rejects it,
/// or `None` if it is accepted.
async fn rejection_codes(
    variables: &[(&str, &str)],
    set: &Value,
    tokens: &[String],
) -> Vec<Option<ProblemCode>> {
    let now = Stack::new().now();
    let set = set.to_string();
    let settings = settings(
        &[
            variables,
            &[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)],
        ]
        .concat(),
    )
    .unwrap();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();

    let mut codes = Vec::new();
    for token in tokens {
        codes.push(
            verifier
                .principal(&request(token))
                .await
                .err()
                .map(|failure| failure.problem().code),
        );
    }
    codes
}

/// Returns claims that these verifiers accept.
fn claims() -> Value {
    let now = Stack::new().now().timestamp();
    json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "iat": now, "exp": now + 60})
}

#[tokio::test]
async fn required_token_type_is_enforced() {
    let (key, set) = (Key::rsa("rsa"), json!({"keys": [Key::rsa("rsa").public()]}));
    let typed = |typ: Option<&str>| {
        key.sign_under(
            &jsonwebtoken::Header {
                typ: typ.map(Into::into),
                ..key.header()
            },
            &claims(),
        )
    };

    let tokens = [
        Some("at+jwt"),
        Some("application/AT+JWT"),
        Some("JWT"),
        Some(""),
        None,
    ]
    .map(typed);

    let rejected = Some(ProblemCode::Unauthenticated);
    assert_eq!(
        rejection_codes(&[("TOKEN_TYPE", "at+jwt")], &set, &tokens).await,
        [None, None, rejected, rejected, rejected]
    );
    assert_eq!(
        rejection_codes(&[("TOKEN_TYPE", "")], &set, &tokens).await,
        [None; 5]
    );
}

#[tokio::test]
async fn required_token_use_is_enforced() {
    let (key, set) = (Key::rsa("rsa"), json!({"keys": [Key::rsa("rsa").public()]}));
    let used = |token_use: Value| {
        let mut claims = claims();
        claims["token_use"] = token_use;
        key.sign(&claims)
    };

    let tokens = [
        json!("access"),
        json!("id"),
        json!(""),
        json!(["access"]),
        json!(null),
    ]
    .map(used);

    let rejected = Some(ProblemCode::Unauthenticated);
    assert_eq!(
        rejection_codes(&[("TOKEN_USE", "access")], &set, &tokens).await,
        [None, rejected, rejected, rejected, rejected]
    );
    assert_eq!(rejection_codes(&[], &set, &tokens).await, [None; 5]);
}

#[tokio::test]
async fn token_lifetime_is_limited() {
    let (key, set) = (Key::rsa("rsa"), json!({"keys": [Key::rsa("rsa").public()]}));
    let lasting = |issued: Option<i64>, seconds: i64| {
        let mut claims = claims();
        let now = Stack::new().now().timestamp();
        match issued {
            Some(ago) => claims["iat"] = json!(now - ago),
            None => drop(claims.as_object_mut().unwrap().remove("iat")),
        }
        claims["exp"] = json!(now - issued.unwrap_or(0) + seconds);
        key.sign(&claims)
    };

    let rejected = Some(ProblemCode::Unauthenticated);
    for (max, seconds) in [("", 86_400), ("60", 60), ("2592000", 2_592_000)] {
        let tokens = [
            (Some(0), 0),
            (Some(0), 1),
            (None, 0),
            (None, 1),
            (Some(30), 0),
            (Some(30), 1),
        ]
        .map(|(ago, more)| lasting(ago, seconds + more));

        let codes = rejection_codes(&[("TOKEN_SECONDS_MAX", max)], &set, &tokens).await;
        assert_eq!(
            codes,
            [None, rejected, None, rejected, None, rejected],
            "{seconds}"
        );
    }
}

#[test]
fn invalid_setting_is_named_in_the_error() {
    let good = [("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", "{}")];
    assert!(settings(&good).is_ok());

    for (name, named) in [
        ("JWT_ISSUER", "JWT_ISSUER"),
        ("JWT_AUDIENCE", "JWT_AUDIENCE"),
        ("JWKS", "JWKS_URL"),
        ("RESOURCES_TABLE", "RESOURCES_TABLE"),
    ] {
        let error = settings(&[good.as_slice(), &[(name, "")]].concat()).expect_err(name);
        assert!(error.contains(named), "{error}");
    }

    for days in ["0", "-1", "x", "1.5", "36501", "99999999999999999999"] {
        let error =
            settings(&[good.as_slice(), &[("LOG_RETENTION_DAYS", days)]].concat()).expect_err(days);
        assert!(error.contains("LOG_RETENTION_DAYS"), "{error}");
    }

    for (name, value) in [
        ("TOKEN_SECONDS_MAX", "0"),
        ("TOKEN_SECONDS_MAX", "1 day"),
        ("ALLOWED_ORIGINS", "*"),
        ("ROLE_VIEWER", "admin"),
        ("ROLE_OPERATOR", "admin"),
    ] {
        let error = settings(&[good.as_slice(), &[(name, value)]].concat()).expect_err(value);
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn malformed_key_set_fails_at_startup() {
    for set in ["{}", "[]", "no JSON", r#"{"keys":{}}"#, r#"{"keys":[5]}"#] {
        let settings =
            settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", set)]).unwrap();
        let now = Stack::new().now();
        assert!(
            Verifier::new(settings.auth, Clock::from_fn(move || now)).is_err(),
            "{set}"
        );
    }
}
