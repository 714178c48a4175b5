//! Who is calling (§1): the functions verify the bearer token themselves, so it works the same
//! behind any gateway.

mod keys;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
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
/// Seconds a token may be ahead of this machine's clock in `nbf` and `iat`.
const CLOCK_LEEWAY_SECONDS: f64 = 60.0;

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
        Ok(Self {
            keys: Keys::new(&settings.keys)?,
            settings,
            clock,
        })
    }

    /// The caller of `request`.
    ///
    /// # Errors
    /// A 401 problem for a token that is missing or does not verify; an outage when the keys cannot
    /// be fetched.
    pub async fn principal(&self, request: &Request) -> Result<Principal, Failure> {
        let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
        let header = headers.next().and_then(|value| value.to_str().ok());
        if headers.next().is_some() {
            return Err(unauthenticated("send one authorization header").into());
        }
        let token = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| unauthenticated("send the header authorization: Bearer <token>"))?;
        let header = decode_header(token).map_err(|_| unauthenticated("the token is not a JWT"))?;
        self.check_header(token)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(
                unauthenticated("the token must be signed with RS256, ES256 or EdDSA").into(),
            );
        }
        let now = self.clock.now();
        let key = self.keys.find(&header, now).await?;
        let key = key.ok_or_else(|| {
            unauthenticated("the token is signed with a key that is not in the key set")
        })?;
        let claims = verify(token, &header, &key)?;
        let principal = self.read_claims(&claims, now.timestamp_millis() as f64 / 1000.0)?;
        telemetry::caller(&principal.tenant, &principal.user);
        Ok(principal)
    }

    /// Checks what the header says besides the key. `crit` names extensions that a reader must
    /// understand (RFC 7515 §4.1.11), and none is understood here.
    fn check_header(&self, token: &str) -> Result<(), Problem> {
        let header = token
            .split('.')
            .next()
            .and_then(|header| BASE64_URL_SAFE_NO_PAD.decode(header).ok());
        let header: Option<Map<String, Value>> =
            header.and_then(|header| serde_json::from_slice(&header).ok());
        let header = header.ok_or_else(|| unauthenticated("the token is not a JWT"))?;
        if header.contains_key("crit") {
            return Err(unauthenticated(
                "the token's header has crit, and no extension is understood",
            ));
        }
        let Some(wanted) = &self.settings.token_type else {
            return Ok(());
        };
        // A media type, whose `application/` may be left out (RFC 7515 §4.1.9).
        let short = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.strip_prefix("application/")
                .map(ToOwned::to_owned)
                .unwrap_or(name)
        };
        if header.get("typ").and_then(Value::as_str).map(short) != Some(short(wanted)) {
            return Err(unauthenticated(format!(
                "the token's typ must be {wanted:?}"
            )));
        }
        Ok(())
    }

    /// Checks for how long the token is valid: from when it was issued, which may be a minute
    /// ahead, or else from now on.
    fn check_validity(
        &self,
        claims: &Map<String, Value>,
        expires: f64,
        now: f64,
    ) -> Result<(), Problem> {
        let not_before = claims.get("nbf").map(Value::as_f64);
        if not_before
            .is_some_and(|not_before| not_before.is_none_or(|at| at > now + CLOCK_LEEWAY_SECONDS))
        {
            return Err(unauthenticated("the token is not valid yet"));
        }
        let issued = match claims.get("iat").map(Value::as_f64) {
            None => now,
            Some(Some(issued)) if issued <= now + CLOCK_LEEWAY_SECONDS => issued,
            Some(Some(_)) => return Err(unauthenticated("the token was issued in the future")),
            Some(None) => return Err(unauthenticated("the token's iat claim must be a number")),
        };
        // Whole seconds, exact as far as 2^53.
        let most = self.settings.token_seconds_max as f64;
        if expires - issued > most {
            return Err(unauthenticated(format!(
                "the token is valid for longer than {most} seconds"
            )));
        }
        Ok(())
    }

    fn read_claims(&self, claims: &Map<String, Value>, now: f64) -> Result<Principal, Problem> {
        let number = |claim: &str| claims.get(claim).and_then(Value::as_f64);
        let expires = number("exp").ok_or_else(|| unauthenticated("the token has no exp claim"))?;
        if expires <= now {
            return Err(unauthenticated("the token has expired: get a new one"));
        }
        self.check_validity(claims, expires, now)?;
        if claims.get("iss").and_then(Value::as_str) != Some(&self.settings.issuer) {
            return Err(unauthenticated("the token is from another issuer"));
        }
        let audiences = texts(claims, &self.settings.audience_claim)?;
        if !audiences.contains(&self.settings.audience) {
            return Err(unauthenticated("the token is for another audience"));
        }
        if self
            .settings
            .token_use
            .as_deref()
            .is_some_and(|wanted| claims.get("token_use").and_then(Value::as_str) != Some(wanted))
        {
            return Err(unauthenticated(
                "the token is for another use: its token_use is another",
            ));
        }
        let groups = groups(claims, &self.settings.channels_claim)?;
        Ok(Principal {
            tenant: name(claims, &self.settings.tenant_claim)?,
            user: name(claims, &self.settings.user_claim)?,
            roles: texts(claims, &self.settings.roles_claim)?,
            groups,
        })
    }
}

/// Checks the signature alone; what the claims say is read by [`Verifier::read_claims`], against
/// the clock that is handed in.
fn verify(token: &str, header: &Header, key: &Jwk) -> Result<Map<String, Value>, Problem> {
    let reject = || unauthenticated("the token's signature does not verify");
    let key = DecodingKey::from_jwk(key).map_err(|_| reject())?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode::<Map<String, Value>>(token, &key, &validation)
        .map(|token| token.claims)
        .map_err(|_| reject())
}

fn unauthenticated(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Unauthenticated, detail)
}

fn name(claims: &Map<String, Value>, claim: &str) -> Result<String, Problem> {
    let name = claims
        .get(claim)
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !is_name(name) {
        return Err(unauthenticated(format!(
            "the token's claim {claim:?} must be text of 1 to {NAME_BYTES_MAX} bytes"
        )));
    }
    Ok(name.to_owned())
}

/// The groups that a claim lists. An entry that is no name is left out: one that an identity
/// provider wrote for another purpose, or left empty, must not keep its user out.
fn groups(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Problem> {
    let listed = match claims.get(claim) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(list)) => list.as_slice(),
        Some(text @ Value::String(_)) => std::slice::from_ref(text),
        Some(_) => {
            return Err(unauthenticated(format!(
                "the token's claim {claim:?} must be text or a list of texts"
            )));
        }
    };
    if listed.len() > GROUPS_MAX {
        return Err(unauthenticated(format!(
            "the token names more than {GROUPS_MAX} channels"
        )));
    }
    let names = listed.iter().filter_map(Value::as_str);
    Ok(names
        .filter(|group| Channel::parse(&format!("group/{group}")).is_some())
        .map(ToOwned::to_owned)
        .collect())
}

/// A claim that is a text or a list of texts; none when it is missing.
fn texts(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Problem> {
    let reject = || {
        unauthenticated(format!(
            "the token's claim {claim:?} must be text or a list of texts"
        ))
    };
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|text| text.as_str().map(ToOwned::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(reject),
        Some(_) => Err(reject()),
    }
}
