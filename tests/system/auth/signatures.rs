//! Signatures: only a token that a key of the key set signed with an allowed algorithm identifies a
//! caller.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use tidemark_tests::Stack;

use super::{Key, assert_accepted, assert_rejected, assert_unauthenticated, good_claims};

#[tokio::test]
async fn request_without_bearer_token_is_rejected() {
    let stack = Stack::new();
    let token = Key::development().sign(&good_claims(&stack));
    let basic = format!("Basic {token}");
    let no_space = format!("Bearer{token}");
    let twice = format!("Bearer Bearer {token}");

    for route in ["sync/push", "sync/pull"] {
        assert_unauthenticated(&stack.post_bytes(route, None, b"{}").await, "no header");
        for value in [
            "", " ", "Bearer", "Bearer ", "Bearer  ", &token, &basic, &no_space, &twice,
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            assert_unauthenticated(&stack.send(route, &headers, b"{}").await, value);
        }
    }
}

#[tokio::test]
async fn bearer_scheme_is_case_insensitive() {
    let stack = Stack::new();
    let token = Key::development().sign(&good_claims(&stack));
    for scheme in ["bearer", "BEARER"] {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("{scheme} {token}")).unwrap(),
        );
        assert_eq!(
            stack.send("sync/pull", &headers, b"{}").await.status,
            200,
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn malformed_jwt_is_rejected() {
    let stack = Stack::new();
    let long = "x".repeat(100_000);

    for token in [
        "garbage",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "e30.e30.",
        "e30.e30.e30",
        "eyJhbGciOiJFZERTQSJ9..",
        &long,
    ] {
        assert_rejected(&stack, token, &token[..token.len().min(40)]).await;
    }
}

#[tokio::test]
async fn token_without_algorithm_is_rejected() {
    let stack = Stack::new();
    let genuine = Key::development().sign(&good_claims(&stack));
    let parts: Vec<&str> = genuine.split('.').collect();

    for algorithm in [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!(""),
        json!(null),
        json!(["EdDSA"]),
    ] {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": "tidemark-development"});
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        for signature in ["", parts[2]] {
            assert_rejected(
                &stack,
                &format!("{header}.{}.{signature}", parts[1]),
                &algorithm.to_string(),
            )
            .await;
        }
    }
}

#[tokio::test]
async fn public_key_is_not_accepted_as_secret() {
    let stack = Stack::new();
    let public = Key::development().public();
    let text = public["x"].as_str().unwrap();
    let secrets = [
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap(),
        text.as_bytes().to_vec(),
        tidemark::auth::jwks().into_bytes(),
        Vec::new(),
    ];

    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header {
            kid: Some("tidemark-development".into()),
            ..Header::new(algorithm)
        };
        for secret in &secrets {
            let token = jsonwebtoken::encode(
                &header,
                &good_claims(&stack),
                &EncodingKey::from_secret(secret),
            )
            .unwrap();
            assert_rejected(&stack, &token, &format!("{algorithm:?}")).await;
        }
    }
}

#[tokio::test]
async fn signature_of_another_key_is_rejected() {
    let stack = Stack::new();
    let claims = good_claims(&stack);

    for id in ["tidemark-development", "unknown", ""] {
        assert_rejected(
            &stack,
            &Key::ed25519(&[7; 32], id).sign(&claims),
            &format!("Ed25519 as {id:?}"),
        )
        .await;
        assert_rejected(
            &stack,
            &Key::rsa(id).sign(&claims),
            &format!("RS256 as {id:?}"),
        )
        .await;
        assert_rejected(
            &stack,
            &Key::ec(id).sign(&claims),
            &format!("ES256 as {id:?}"),
        )
        .await;
    }
}

#[tokio::test]
async fn key_embedded_in_the_token_is_ignored() {
    let stack = Stack::new();
    let own = Key::ed25519(&[7; 32], "tidemark-development");
    let embedded =
        jsonwebtoken::jwk::Jwk::from_encoding_key(&own.secret, Algorithm::EdDSA).unwrap();

    for id in [
        Some("tidemark-development".to_owned()),
        Some("own".to_owned()),
        None,
    ] {
        let header = Header {
            kid: id.clone(),
            jwk: Some(embedded.clone()),
            jku: Some("http://127.0.0.1:1/keys".into()),
            ..Header::new(Algorithm::EdDSA)
        };
        assert_rejected(
            &stack,
            &own.sign_under(&header, &good_claims(&stack)),
            &format!("{id:?}"),
        )
        .await;
    }
}

#[tokio::test]
async fn unknown_key_id_is_rejected() {
    let stack = Stack::new();
    let key = Key::development();
    let header = Header {
        kid: Some("unknown".into()),
        ..key.header()
    };
    assert_rejected(
        &stack,
        &key.sign_under(&header, &good_claims(&stack)),
        "unknown key id",
    )
    .await;
}

#[tokio::test]
async fn missing_key_id_selects_the_only_key() {
    let stack = Stack::new();
    let key = Key::development();
    let token = key.sign_under(&Header::new(Algorithm::EdDSA), &good_claims(&stack));
    assert_accepted(&stack, &token, "no key id").await;
}

#[tokio::test]
async fn altered_token_is_rejected() {
    let stack = Stack::new();
    let genuine = Key::development().sign(&good_claims(&stack));
    for at in 0..genuine.len() {
        let flipped = if &genuine[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{flipped}{}", &genuine[..at], &genuine[at + 1..]);
        let response = stack.post("sync/pull", &changed, &json!({})).await;
        assert_unauthenticated(&response, &format!("letter {at}"));
    }
    assert_accepted(&stack, &genuine, "unchanged").await;
}

#[tokio::test]
async fn exchanged_claims_are_rejected() {
    let stack = Stack::new();
    let key = Key::development();
    let own = key.sign(&good_claims(&stack));
    let mut claims = good_claims(&stack);
    claims["roles"] = json!(["admin"]);
    let wanted = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());

    let (header, signature) = (
        own.split('.').next().unwrap(),
        own.rsplit('.').next().unwrap(),
    );

    assert_rejected(
        &stack,
        &format!("{header}.{wanted}.{signature}"),
        "claims exchanged",
    )
    .await;
}
