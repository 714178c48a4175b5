//! The keys of a configured key set (§1): which algorithms and key types verify a token, and which
//! keys are ignored.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tidemark_aws::{Clock, auth::Verifier};
use tidemark_core::wire::problem::ProblemCode;
use tidemark_tests::Stack;

use super::{super::Key, claims, key_set, rejection_codes, request, settings};

#[tokio::test]
async fn rs256_es256_and_eddsa_tokens_verify() {
    let keys = [Key::rsa("rsa"), Key::ec("ec"), Key::ed25519(&[3; 32], "ed")];
    let set = key_set(&keys.iter().collect::<Vec<_>>());
    let now = Stack::new().now();
    let settings = settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)]).unwrap();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();
    let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": now.timestamp() + 60});

    for key in &keys {
        let verified = verifier
            .principal(&request(&key.sign(&claims)))
            .await
            .map_err(|failure| failure.to_string());
        assert_eq!(
            verified.map(|principal| principal.user),
            Ok("ana".to_owned()),
            "{}",
            key.id
        );
    }
}

#[tokio::test]
async fn disallowed_algorithms_are_rejected_for_known_keys() {
    let shared = b"a secret that was put into a key set";
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
async fn missing_key_id_needs_a_single_key() {
    let now = Stack::new().now();
    let keys = [Key::ec("ec"), Key::ed25519(&[3; 32], "ed")];
    let set = key_set(&[&keys[0], &keys[1]]);
    let settings = settings(&[("JWT_ISSUER", "i"), ("JWT_AUDIENCE", "a"), ("JWKS", &set)]).unwrap();
    let verifier = Verifier::new(settings.auth, Clock::from_fn(move || now)).unwrap();
    let claims = json!({"iss": "i", "aud": "a", "tenant": "acme", "sub": "ana", "exp": now.timestamp() + 60});
    for key in &keys {
        let token = key.sign_under(&Header::new(key.algorithm), &claims);
        let rejected = verifier
            .principal(&request(&token))
            .await
            .map_err(|failure| failure.problem().code);
        assert_eq!(rejected, Err(ProblemCode::Unauthenticated), "{}", key.id);
    }
}

#[tokio::test]
async fn unknown_key_types_do_not_affect_others() {
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
        let codes = rejection_codes(
            &[],
            &json!({"keys": [key]}),
            &[Key::rsa("rsa").sign(&claims())],
        )
        .await;
        assert_eq!(codes, [code], "{member}: {value}");
    }
}

#[tokio::test]
async fn encryption_key_hides_no_signing_key() {
    let mut other = Key::ec("same").public();
    other["use"] = "enc".into();
    let set = json!({"keys": [other, Key::rsa("same").public()]});
    let without_id = Key::rsa("same").sign_under(&Header::new(Algorithm::RS256), &claims());
    assert_eq!(
        rejection_codes(&[], &set, &[Key::rsa("same").sign(&claims()), without_id]).await,
        [None, None]
    );
}

#[tokio::test]
async fn ed25519_is_accepted_as_key_algorithm() {
    let mut key = Key::ed25519(&[3; 32], "ed").public();
    key["alg"] = "Ed25519".into();
    assert_eq!(
        rejection_codes(
            &[],
            &json!({"keys": [key]}),
            &[Key::ed25519(&[3; 32], "ed").sign(&claims())]
        )
        .await,
        [None]
    );
}
