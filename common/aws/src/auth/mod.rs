//! Who is calling (§1): the functions verify the bearer token themselves, so it works the same behind any gateway.

mod keys;

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, jwk::Jwk};
use lambda_http::{Request, http::header};
use serde_json::{Map, Value};
use tidemark_core::{
    channel::Channel,
    limits::{GROUPS_MAX, NAME_BYTES_MAX, is_name},
    principal::Principal,
    protocol::problem::{Problem, ProblemCode},
};

use crate::{clock::Clock, failure::Failure, settings::AuthSettings, telemetry};
use keys::Keys;

/// The signatures that are accepted; `none` and shared secrets are not among them.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Seconds a token may be ahead of this machine's clock in `nbf`.
const NOT_BEFORE_LEEWAY_SECONDS: f64 = 60.0;

/// Verifies bearer tokens.
#[derive(Debug)]
pub struct Verifier {
    settings: AuthSettings,
    keys: Keys,
    clock: Clock,
}

impl Verifier {
    /// Verifies by these settings.
    ///
    /// # Errors
    /// [`Failure`] when an inline key set does not read.
    pub fn new(settings: AuthSettings, clock: Clock) -> Result<Self, Failure> {
        Ok(Self { keys: Keys::new(&settings.keys)?, settings, clock })
    }

    /// The caller of `request`.
    ///
    /// # Errors
    /// A 401 problem for a token that is missing or does not verify; an outage when the keys cannot be fetched.
    pub async fn principal(&self, request: &Request) -> Result<Principal, Failure> {
        let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| unauthenticated("send the header authorization: Bearer <token>"))?;
        let header = decode_header(token).map_err(|_| unauthenticated("the token is not a JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(unauthenticated("the token must be signed with RS256, ES256 or EdDSA").into());
        }
        let now = self.clock.now();
        let key = self.keys.find(header.kid.as_deref(), now).await?;
        let key = key.ok_or_else(|| unauthenticated("the token is signed with a key that is not in the key set"))?;
        let claims = verify(token, &header, &key)?;
        let principal = self.read_claims(&claims, now.timestamp_millis() as f64 / 1000.0)?;
        telemetry::caller(&principal.tenant, &principal.user);
        Ok(principal)
    }

    fn read_claims(&self, claims: &Map<String, Value>, now: f64) -> Result<Principal, Problem> {
        let number = |claim: &str| claims.get(claim).and_then(Value::as_f64);
        let expires = number("exp").ok_or_else(|| unauthenticated("the token has no exp claim"))?;
        if expires <= now {
            return Err(unauthenticated("the token has expired: get a new one"));
        }
        let not_before = claims.get("nbf").map(Value::as_f64);
        if not_before.is_some_and(|not_before| not_before.is_none_or(|at| at > now + NOT_BEFORE_LEEWAY_SECONDS)) {
            return Err(unauthenticated("the token is not valid yet"));
        }
        if claims.get("iss").and_then(Value::as_str) != Some(&self.settings.issuer) {
            return Err(unauthenticated("the token is from another issuer"));
        }
        let audiences = texts(claims, &self.settings.audience_claim)?;
        if !audiences.contains(&self.settings.audience) {
            return Err(unauthenticated("the token is for another audience"));
        }
        let groups = texts(claims, &self.settings.channels_claim)?;
        if groups.len() > GROUPS_MAX {
            return Err(unauthenticated(format!("the token names more than {GROUPS_MAX} channels")));
        }
        if groups.iter().any(|group| Channel::parse(&format!("group/{group}")).is_none()) {
            return Err(unauthenticated("the token names a channel that is empty or longer than 256 bytes"));
        }
        Ok(Principal {
            tenant: name(claims, &self.settings.tenant_claim)?,
            user: name(claims, &self.settings.user_claim)?,
            roles: texts(claims, &self.settings.roles_claim)?,
            groups,
        })
    }
}

/// Checks the signature alone; what the claims say is read by [`Verifier::read_claims`], against the clock that is handed in.
fn verify(token: &str, header: &Header, key: &Jwk) -> Result<Map<String, Value>, Problem> {
    let refuse = || unauthenticated("the token's signature does not verify");
    let key = DecodingKey::from_jwk(key).map_err(|_| refuse())?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode::<Map<String, Value>>(token, &key, &validation).map(|token| token.claims).map_err(|_| refuse())
}

fn unauthenticated(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Unauthenticated, detail)
}

fn name(claims: &Map<String, Value>, claim: &str) -> Result<String, Problem> {
    let name = claims.get(claim).and_then(Value::as_str).unwrap_or_default();
    if !is_name(name) {
        return Err(unauthenticated(format!("the token's claim {claim:?} must be text of 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(name.to_owned())
}

/// A claim that is a text or a list of texts; none when it is missing.
fn texts(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Problem> {
    let refuse = || unauthenticated(format!("the token's claim {claim:?} must be text or a list of texts"));
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) => {
            list.iter().map(|text| text.as_str().map(ToOwned::to_owned)).collect::<Option<_>>().ok_or_else(refuse)
        }
        Some(_) => Err(refuse()),
    }
}
