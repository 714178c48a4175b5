//! Exchanges an authorization code for tokens at the token endpoint of the identity provider (RFC
//! 6749 §4.1.3), when a user signs in to the console.

use std::time::Duration;

use aws_smithy_runtime_api::{
    client::{http::HttpConnector as _, orchestrator::HttpRequest},
    http::Request,
};
use aws_smithy_types::body::SdkBody;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Limited};
use lambda_http::http::Method;
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;

use crate::{error::Error, transport};

const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The bytes of a secret: more than the 32 bytes of entropy that RFC 7636 §7.1 recommends are not
/// needed.
const SECRET_BYTES: usize = 32;

/// The tokens that a provider returns for a code. The other members are not used.
#[derive(Deserialize)]
pub struct IssuedTokens {
    /// The ID token, a JWT. Present if the scope `openid` was requested.
    pub id_token: Option<String>,
    /// The access token, a JWT or an opaque text.
    pub access_token: Option<String>,
}

/// Posts a form to the token endpoint and returns the tokens. Returns `None` if the provider
/// rejects the code (status 400 or 401): it was used before, has expired, or was not issued for the
/// code verifier.
///
/// # Errors
/// Returns `Error::Unavailable` if the provider does not respond within 5 seconds, or responds with
/// another status or without JSON.
pub async fn exchange(token_url: &str, form: String) -> Result<Option<IssuedTokens>, Error> {
    // The endpoint is part of the configuration. The form contains the code and is not quoted.
    let outage =
        |what: String| Error::unavailable(format!("exchanging a code at {token_url}: {what}"));

    let mut request: HttpRequest = Request::new(SdkBody::from(form));
    request
        .set_method(Method::POST.as_str())
        .and_then(|()| request.set_uri(token_url))
        .map_err(|error| outage(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/x-www-form-urlencoded");
    headers.insert("accept", "application/json");

    // A user signs in once per session, so the connector is not kept.
    let connector = transport::system_connector().map_err(|error| outage(error.to_string()))?;

    let exchange = async {
        let response = connector
            .call(request)
            .await
            .map_err(|error| outage(format!("{error:?}")))?;
        let status = response.status();
        if matches!(status.as_u16(), 400 | 401) {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(outage(format!("status {}", status.as_u16())));
        }

        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
        let body = body
            .collect()
            .await
            .map_err(|error| outage(error.to_string()))?;
        Ok(Some(body.to_bytes()))
    };

    let body = tokio::time::timeout(EXCHANGE_TIMEOUT, exchange)
        .await
        .map_err(|_| outage("timed out".into()))??;
    // The error of the parser could quote a token.
    body.map(|body| serde_json::from_slice(&body))
        .transpose()
        .map_err(|_| outage("the response is not a token response".into()))
}

/// Returns a new secret of 256 random bits in base64url: 43 characters, as RFC 7636 requires of a
/// code verifier.
///
/// # Errors
/// Returns `Error::Unavailable` if the operating system provides no random numbers.
pub fn secret() -> Result<String, Error> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::unavailable("no random numbers are available"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
