//! The development key, which signs tokens that only local runners accept. The key is public: it is
//! part of this file and of every build, so the JWKS of a deployment must never contain it.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use tidemark_core::model::principal::Principal;

/// Issuer of development tokens. No other party can own a host name under `localhost`.
pub const ISSUER: &str = "https://tidemark.localhost/";
/// Audience claim of development tokens.
pub const AUDIENCE: &str = "tidemark";
/// Lifetime of a development token in seconds: 30 days.
pub const TTL_S: i64 = 30 * 24 * 60 * 60;

const KEY_ID: &str = "tidemark-development";
/// The Ed25519 seed, that is, the private key. It is published with this source.
const SEED: &[u8; 32] = b"tidemark-development-key-public!";
/// DER prefix of a PKCS #8 private key (RFC 8410), to which the seed is appended: version 0,
/// Ed25519, an octet string of 32 bytes.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// The public key of `SEED`, in base64url.
const PUBLIC: &str = "V2_uGzLJHDkiOBLIIyfSPPmccB8AW_NMXCS96gFxvf4";

/// The principal for which a token is issued.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Tenant that the user belongs to.
    pub tenant: &'a str,
    /// User id, which becomes the `sub` claim.
    pub user: &'a str,
    /// Roles of the user, for example `admin`.
    pub roles: &'a [String],
    /// Groups whose channels the user may read and write.
    pub channels: &'a [String],
}

#[derive(Serialize)]
struct JwtClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    tenant: &'a str,
    roles: &'a [String],
    channels: &'a [String],
    iat: i64,
    exp: i64,
}

/// Returns the JWK set that verifies development tokens, in the format of the `Jwks` parameter.
#[must_use]
pub fn jwks() -> String {
    let key = serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KEY_ID, "x": PUBLIC,
    });
    serde_json::json!({ "keys": [key] }).to_string()
}

/// Returns a signed token for `identity`, issued at `now_s` (seconds since 1970) and valid for
/// `ttl_s` seconds.
///
/// # Errors
/// Returns an error if the crypto provider rejects the key. A test verifies that it accepts it.
pub fn mint(
    identity: Identity<'_>,
    now_s: i64,
    ttl_s: i64,
) -> Result<String, jsonwebtoken::errors::Error> {
    let claims = JwtClaims {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: identity.user,
        tenant: identity.tenant,
        roles: identity.roles,
        channels: identity.channels,
        iat: now_s,
        exp: now_s.saturating_add(ttl_s),
    };

    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(KEY_ID.to_owned());
    let key = EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), SEED.as_slice()].concat());
    jsonwebtoken::encode(&header, &claims, &key)
}

/// Returns a token for a user who signs in to the console of a local runner, or `None` if the crypto
/// provider rejects the key.
pub fn mint_for_console(principal: &Principal, now: DateTime<Utc>) -> Option<String> {
    let identity = Identity {
        tenant: &principal.tenant,
        user: &principal.user,
        roles: &principal.roles,
        channels: &principal.groups,
    };
    mint(identity, now.timestamp(), TTL_S).ok()
}

#[cfg(test)]
mod tests;
