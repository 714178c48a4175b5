//! Identity providers differ (§1): which claims say what, and where the keys come from, is
//! configuration.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use lambda_http::{Body, Request, http};
use serde_json::{Value, json};
use tidemark_aws::{Clock, Settings, auth::Verifier};
use tidemark_core::{principal::Principal, protocol::problem::ProblemCode};
use tidemark_tests::Stack;

use super::Key;

const COGNITO: &str = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI";

/// The environment of a function with these variables besides the tables'.
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

/// A request with this token.
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
async fn a_cognito_access_token_tells_who_is_calling() {
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
async fn a_claim_that_is_not_configured_is_not_believed() {
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
async fn empty_variables_mean_the_usual_claims() {
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

#[tokio::test]
async fn tokens_signed_with_rs256_es256_and_eddsa_verify() {
    let keys = [Key::rsa("rsa"), Key::ec("ec"), Key::ed25519(&[3; 32], "ed")];
    let set = key_set(&keys.iter().collect::<Vec<_>>());
    let now = Stack::new().now();
    let settings = settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)]).unwrap();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();
    let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": now.timestamp() + 60});
    for key in &keys {
        let told = verifier
            .principal(&request(&key.sign(&claims)))
            .await
            .map_err(|failure| failure.to_string());
        assert_eq!(
            told.map(|principal| principal.user),
            Ok("ana".to_owned()),
            "{}",
            key.id
        );
    }
}

#[tokio::test]
async fn other_algorithms_are_refused_although_the_key_is_of_the_set() {
    use jsonwebtoken::{Algorithm, EncodingKey};
    let shared = b"a secret that somebody put into a key set";
    let oct = json!({"kty": "oct", "kid": "shared", "k": BASE64_URL_SAFE_NO_PAD.encode(shared)});
    let set = json!({"keys": [Key::rsa("rsa").public(), oct]}).to_string();
    let now = Stack::new().now();
    let settings = settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)]).unwrap();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();
    let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": now.timestamp() + 60});
    let rsa = [
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ]
    .map(|algorithm| Key {
        algorithm,
        ..Key::rsa("rsa")
    });
    let hmac = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].map(|algorithm| Key {
        algorithm,
        id: "shared".into(),
        secret: EncodingKey::from_secret(shared),
    });
    for key in rsa.into_iter().chain(hmac) {
        let rejected = verifier
            .principal(&request(&key.sign(&claims)))
            .await
            .map_err(|failure| failure.problem().code);
        assert_eq!(
            rejected,
            Err(ProblemCode::Unauthenticated),
            "{:?}",
            key.algorithm
        );
    }
}

#[tokio::test]
async fn without_a_key_id_no_one_of_several_keys_is_meant() {
    let now = Stack::new().now();
    let keys = [Key::ec("ec"), Key::ed25519(&[3; 32], "ed")];
    let set = key_set(&[&keys[0], &keys[1]]);
    let settings = settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)]).unwrap();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();
    let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": now.timestamp() + 60});
    for key in &keys {
        let token = key.sign_under(&jsonwebtoken::Header::new(key.algorithm), &claims);
        let rejected = verifier
            .principal(&request(&token))
            .await
            .map_err(|failure| failure.problem().code);
        assert_eq!(rejected, Err(ProblemCode::Unauthenticated), "{}", key.id);
    }
}

#[tokio::test]
async fn a_key_of_a_kind_nobody_knows_does_not_spoil_the_others() {
    let now = Stack::new().now();
    let strange = [
        json!({"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "k", "alg": "ES256K", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA"}),
        json!({"kty": "RSA", "use": "enc", "alg": "RSA-OAEP-512", "kid": "e", "n": "AAAA", "e": "AQAB", "x5c": ["AAAA"]}),
        json!({"kid": "nothing"}),
    ];
    for key in strange {
        let set = json!({"keys": [key, Key::rsa("rsa").public()]}).to_string();
        let settings =
            settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)]).unwrap();
        let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now))
            .unwrap_or_else(|error| panic!("{key}: {error}"));
        let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": now.timestamp() + 60});
        assert!(
            verifier
                .principal(&request(&Key::rsa("rsa").sign(&claims)))
                .await
                .is_ok(),
            "{key}"
        );
    }
}

/// The code that each token is refused with, by a verifier with these settings and the keys of this
/// set.
async fn called(
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

/// Claims that these verifiers accept.
fn claims() -> Value {
    let now = Stack::new().now().timestamp();
    json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "iat": now, "exp": now + 60})
}

#[tokio::test]
async fn keys_for_other_purposes_verify_nothing() {
    let rejected = Some(ProblemCode::Unauthenticated);
    for (member, value, code) in [
        ("use", json!("sig"), None),
        ("use", json!(null), None),
        ("use", json!("enc"), rejected),
        ("use", json!("other"), rejected),
        ("key_ops", json!(["verify"]), None),
        ("key_ops", json!(["sign", "verify"]), None),
        ("key_ops", json!([]), rejected),
        ("key_ops", json!(["sign"]), rejected),
        ("key_ops", json!(["encrypt", "wrapKey"]), rejected),
        ("alg", json!("RS256"), None),
        ("alg", json!(null), None),
        ("alg", json!("RS512"), rejected),
        ("alg", json!("PS256"), rejected),
        ("alg", json!("RSA-OAEP"), rejected),
        ("alg", json!("RSA-OAEP-512"), rejected),
        ("alg", json!("ES256"), rejected),
    ] {
        let mut key = Key::rsa("rsa").public();
        key[member] = value.clone();
        let told = called(
            &[],
            &json!({"keys": [key]}),
            &[Key::rsa("rsa").sign(&claims())],
        )
        .await;
        assert_eq!(told, [code], "{member}: {value}");
    }
}

#[tokio::test]
async fn an_encryption_key_hides_no_key() {
    let mut other = Key::ec("same").public();
    other["use"] = "enc".into();
    let set = json!({"keys": [other, Key::rsa("same").public()]});
    let without_id = Key::rsa("same").sign_under(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256),
        &claims(),
    );
    assert_eq!(
        called(&[], &set, &[Key::rsa("same").sign(&claims()), without_id]).await,
        [None, None]
    );
}

#[tokio::test]
async fn the_key_of_an_edwards_curve_may_be_called_by_it() {
    let mut key = Key::ed25519(&[3; 32], "ed").public();
    key["alg"] = "Ed25519".into();
    assert_eq!(
        called(
            &[],
            &json!({"keys": [key]}),
            &[Key::ed25519(&[3; 32], "ed").sign(&claims())]
        )
        .await,
        [None]
    );
}

#[tokio::test]
async fn a_required_token_type_is_compared() {
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
        called(&[("TOKEN_TYPE", "at+jwt")], &set, &tokens).await,
        [None, None, rejected, rejected, rejected]
    );
    assert_eq!(
        called(&[("TOKEN_TYPE", "")], &set, &tokens).await,
        [None; 5]
    );
}

#[tokio::test]
async fn a_required_token_use_is_compared() {
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
        called(&[("TOKEN_USE", "access")], &set, &tokens).await,
        [None, rejected, rejected, rejected, rejected]
    );
    assert_eq!(called(&[], &set, &tokens).await, [None; 5]);
}

#[tokio::test]
async fn a_token_is_valid_for_a_day_by_default() {
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
        let told = called(&[("TOKEN_SECONDS_MAX", max)], &set, &tokens).await;
        assert_eq!(
            told,
            [None, rejected, None, rejected, None, rejected],
            "{seconds}"
        );
    }
}

#[test]
fn a_setting_that_is_missing_or_wrong_is_named() {
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
    ] {
        let error = settings(&[good.as_slice(), &[(name, value)]].concat()).expect_err(value);
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_key_set_that_does_not_read_stops_the_function_at_its_start() {
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
