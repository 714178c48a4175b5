//! Authentication of callers (§1). The functions verify the bearer token themselves, so the result
//! does not depend on the gateway.

mod keys;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, jwk::Jwk};
use lambda_http::{Request, http::header};
use serde_json::{Map, Value};
use tidemark_core::{
    model::{
        channel::Channel,
        limits::{GROUPS_MAX, NAME_BYTES_MAX, is_name},
        principal::{OPERATOR, Principal, VIEWER},
    },
    wire::problem::{Problem, ProblemCode},
};

use crate::{clock::Clock, error::Error, settings::AuthSettings, telemetry};
use keys::Keys;

/// The accepted signature algorithms. `none` and algorithms with a shared secret are rejected.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// The maximum number of seconds by which `nbf` and `iat` may be ahead of this machine's clock.
const CLOCK_LEEWAY_SECONDS: f64 = 60.0;

/// Verifies bearer tokens against the settings and the key set of the identity provider.
#[derive(Debug)]
pub struct Verifier {
    settings: AuthSettings,
    keys: Keys,
    clock: Clock,
}

impl Verifier {
    /// Creates a verifier with these settings.
    ///
    /// # Errors
    /// Returns [`Error`] if an inline key set cannot be decoded.
    pub fn new(settings: AuthSettings, clock: Clock) -> Result<Self, Error> {
        Ok(Self {
            keys: Keys::new(&settings.keys)?,
            settings,
            clock,
        })
    }

    /// Returns the authenticated caller of `request`.
    ///
    /// # Errors
    /// Returns a 401 problem if the token is missing or invalid, and `Error::Unavailable` if the keys
    /// cannot be fetched.
    pub async fn principal(&self, request: &Request) -> Result<Principal, Error> {
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
        self.principal_of(token).await
    }

    /// Returns the authenticated caller whom a token identifies.
    ///
    /// # Errors
    /// Returns a 401 problem if the token is invalid, and `Error::Unavailable` if the keys cannot be
    /// fetched.
    pub async fn principal_of(&self, token: &str) -> Result<Principal, Error> {
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

    /// Checks the token header except for its key. `crit` lists extensions that the recipient must
    /// understand (RFC 7515 §4.1.11); this verifier supports none.
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
                "the token's header has crit, and no extension is supported",
            ));
        }

        let Some(wanted) = &self.settings.token_type else {
            return Ok(());
        };
        // The type is a media type whose prefix `application/` is optional (RFC 7515 §4.1.9).
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

    /// Checks `nbf`, `iat` and the lifetime of the token. The lifetime starts at `iat`, which may
    /// be up to a minute in the future, or now if there is no `iat`.
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

        // Whole seconds, which an `f64` represents exactly up to 2^53.
        let lifetime_max = self.settings.token_seconds_max as f64;
        if expires - issued > lifetime_max {
            return Err(unauthenticated(format!(
                "the token is valid for longer than {lifetime_max} seconds"
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
                "the token is for another use: its token_use differs",
            ));
        }

        let groups = groups(claims, &self.settings.channels_claim)?;
        let tenant = name(claims, &self.settings.tenant_claim)?;
        let stated = texts(claims, &self.settings.roles_claim)?;
        Ok(Principal {
            roles: self.roles(stated, &tenant),
            tenant,
            user: name(claims, &self.settings.user_claim)?,
            groups,
        })
    }

    /// Returns the roles of a caller of `tenant` whose token states these texts: the texts, and the
    /// roles `viewer` and `operator` if they contain the texts that the settings assign to them.
    /// The texts `viewer` and `operator` themselves have no effect, because an identity provider
    /// may have used them for another purpose before these roles existed.
    fn roles(&self, mut stated: Vec<String>, tenant: &str) -> Vec<String> {
        let settings = &self.settings;
        let is_stated =
            |text: &Option<String>| text.as_ref().is_some_and(|text| stated.contains(text));
        let is_operator_tenant = settings
            .operator_tenant
            .as_ref()
            .is_none_or(|only| only == tenant);

        let is_viewer = is_stated(&settings.viewer_role);
        let is_operator = is_operator_tenant && is_stated(&settings.operator_role);

        stated.retain(|text| text != VIEWER && text != OPERATOR);
        stated.extend(is_viewer.then(|| VIEWER.to_owned()));
        stated.extend(is_operator.then(|| OPERATOR.to_owned()));
        stated
    }
}

/// Verifies the signature only. [`Verifier::read_claims`] checks the claims against the clock that
/// it receives.
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

/// Returns the groups that a claim lists. Skips entries that are not group names: an entry that the
/// identity provider wrote for another purpose, or left empty, must not lock its user out.
fn groups(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Problem> {
    let listed = match claims.get(claim) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(list)) => list.as_slice(),
        Some(text @ Value::String(_)) => std::slice::from_ref(text),
        Some(_) => {
            return Err(unauthenticated(format!(
                "the token's claim {claim:?} must be a string or an array of strings"
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

/// Returns a claim that is a string or a list of strings, or an empty list if it is missing.
fn texts(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Problem> {
    let reject = || {
        unauthenticated(format!(
            "the token's claim {claim:?} must be a string or an array of strings"
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
