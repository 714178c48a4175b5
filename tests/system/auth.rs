//! Authentication (§1) and authorization (§2): a token that does not verify is rejected with 401,
//! and resources of another tenant or user appear not to exist.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod claims;
mod cognito;
mod key_set;
mod me;
mod roles;
mod settings;
mod signatures;
mod tenants;
mod users;

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tidemark::auth::{AUDIENCE, ISSUER};
use tidemark_tests::{ApiResponse, Item, Stack};

/// A key that signs JWTs.
pub(crate) struct Key {
    algorithm: Algorithm,
    id: String,
    secret: EncodingKey,
}

impl Key {
    /// Returns the local runner's development key. Its private half is public, and its key id is
    /// the one in the runner's key set.
    pub(crate) fn development() -> Self {
        Self::ed25519(b"tidemark-development-key-public!", "tidemark-development")
    }

    pub(crate) fn ed25519(seed: &[u8; 32], id: &str) -> Self {
        // PKCS #8 (RFC 8410): version 0, Ed25519, an octet string of 32 bytes.
        let pkcs8 = [
            b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(),
            seed,
        ]
        .concat();
        Self {
            algorithm: Algorithm::EdDSA,
            id: id.to_owned(),
            secret: EncodingKey::from_ed_der(&pkcs8),
        }
    }

    fn rsa(id: &str) -> Self {
        let der = include_bytes!("auth_keys/test-only-rs256.private.der");
        Self {
            algorithm: Algorithm::RS256,
            id: id.to_owned(),
            secret: EncodingKey::from_rsa_der(der),
        }
    }

    fn ec(id: &str) -> Self {
        let der = include_bytes!("auth_keys/test-only-es256.private.der");
        Self {
            algorithm: Algorithm::ES256,
            id: id.to_owned(),
            secret: EncodingKey::from_ec_der(der),
        }
    }

    /// Returns the public half as a key set lists it.
    fn public(&self) -> Value {
        let mut key =
            serde_json::to_value(Jwk::from_encoding_key(&self.secret, self.algorithm).unwrap())
                .unwrap();
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key
    }

    fn header(&self) -> Header {
        Header {
            kid: Some(self.id.clone()),
            ..Header::new(self.algorithm)
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_under(&self.header(), claims)
    }

    /// Returns the signature of a text, encoded as in a token.
    fn signature(&self, text: &str) -> String {
        jsonwebtoken::crypto::sign(text.as_bytes(), &self.secret, self.algorithm).unwrap()
    }

    pub(crate) fn sign_under(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.secret).unwrap()
    }
}

/// Returns claims that every stack accepts.
pub(crate) fn good_claims(stack: &Stack) -> Value {
    let now = stack.now().timestamp();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "tenant": "acme", "roles": [], "channels": ["north"], "iat": now, "exp": now + 600})
}

/// Returns the responses to a push and to a pull with this token.
async fn responses(stack: &Stack, token: &str) -> [ApiResponse; 2] {
    let item = Item::create_as("meter", "t", json!({})).version(1);
    let push = stack
        .post(
            "sync/push",
            token,
            &json!({"device_id": "phone", "items": [item]}),
        )
        .await;
    [push, stack.post("sync/pull", token, &json!({})).await]
}

/// Checks that push and pull reject this token with 401 as §8 specifies, and store nothing.
async fn assert_rejected(stack: &Stack, token: &str, why: &str) {
    for response in responses(stack, token).await {
        assert_unauthenticated(&response, why);
        assert!(
            token.len() < 20 || !response.text.contains(token),
            "{why}: the response contains the token"
        );
    }
    assert_eq!(
        stack.rows("sync_items").len() + stack.rows("resources").len(),
        0,
        "{why}: something was stored"
    );
}

async fn assert_accepted(stack: &Stack, token: &str, why: &str) {
    for response in responses(stack, token).await {
        assert_eq!(response.status, 200, "{why}: {}", response.text);
    }
}

#[track_caller]
fn assert_unauthenticated(response: &ApiResponse, why: &str) {
    let body = response.json();
    assert_eq!(
        (response.status, &body["code"]),
        (401, &json!("unauthenticated")),
        "{why}: {}",
        response.text
    );

    assert_eq!(response.headers["www-authenticate"], "Bearer", "{why}");
    assert_eq!(
        response.headers["content-type"], "application/problem+json",
        "{why}"
    );
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
            && body["request_id"].is_string(),
        "{why}"
    );
}
