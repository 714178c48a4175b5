//! A sign-in that was begun and not ended: its secrets are in a cookie of the browser, so that only
//! this browser can end it.

use lambda_http::{Request, http::HeaderValue};
use tidemark_aws::{Error, identity_provider::secret};

use crate::cookies::CookieKind;

const NAME: &str = "sign-in";
/// The seconds in which a user must sign in.
const MAX_AGE_S: u32 = 600;

/// The secrets of one attempt to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attempt {
    /// The value that the callback must repeat: it was begun by this browser (RFC 6749 §10.12).
    pub(super) state: String,
    /// The value that the ID token must contain: it was issued for this attempt.
    pub(super) nonce: String,
    /// The code verifier (RFC 7636): only this browser can redeem the code.
    pub(super) verifier: String,
    /// The page to which the user returns.
    pub(super) target: String,
}

impl Attempt {
    /// Creates an attempt with new secrets.
    pub(super) fn new(target: &str) -> Result<Self, Error> {
        Ok(Self {
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            target: target.to_owned(),
        })
    }

    /// Returns the header that stores the attempt.
    pub(super) fn store(&self) -> Option<HeaderValue> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("verifier", &self.verifier)
            .append_pair("target", &self.target);
        CookieKind::Host.set(NAME, &text.finish(), Some(MAX_AGE_S))
    }

    /// Returns the attempt in the cookie of a request. A cookie without secrets is no attempt.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let text = CookieKind::Host.value(request, NAME)?;
        let mut attempt = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let field = match &*name {
                "state" => &mut attempt.state,
                "nonce" => &mut attempt.nonce,
                "verifier" => &mut attempt.verifier,
                "target" => &mut attempt.target,
                _ => continue,
            };
            *field = value.into_owned();
        }

        let secrets = [&attempt.state, &attempt.nonce, &attempt.verifier];
        let is_complete = secrets.iter().all(|secret| !secret.is_empty());
        is_complete.then_some(attempt)
    }
}

/// Returns the header that deletes the attempt.
pub(super) fn clear() -> Option<HeaderValue> {
    CookieKind::Host.clear(NAME)
}
