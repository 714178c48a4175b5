//! A minted token is verified by its key set.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

use super::*;

#[test]
fn minted_token_verifies_against_key_set() {
    let (roles, channels) = (["admin".to_owned()], ["north".to_owned()]);
    let identity = Identity {
        tenant: "acme",
        user: "ana",
        roles: &roles,
        channels: &channels,
    };
    let token = mint(
        identity,
        tidemark_aws::Clock::system().now().timestamp(),
        60,
    )
    .unwrap();

    let keys: JwkSet = serde_json::from_str(&jwks()).unwrap();
    let key = keys
        .find(&decode_header(&token).unwrap().kid.unwrap())
        .unwrap();

    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[AUDIENCE]);
    let claims = decode::<serde_json::Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &rules)
        .unwrap()
        .claims;

    assert_eq!(
        (
            &claims["sub"],
            &claims["tenant"],
            &claims["roles"],
            &claims["channels"]
        ),
        (
            &"ana".into(),
            &"acme".into(),
            &serde_json::json!(["admin"]),
            &serde_json::json!(["north"])
        )
    );
}
