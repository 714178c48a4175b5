//! The code flow of OpenID Connect with PKCE (RFC 6749 §4.1, RFC 7636).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use lambda_http::{Body, Request, Response};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tidemark_aws::{
    Context, Error, http,
    identity_provider::{IssuedTokens, exchange},
    settings::ProviderSettings,
};
use tidemark_core::{
    model::principal::Principal,
    wire::problem::{Problem, ProblemCode},
};

use super::attempt::Attempt;
use crate::{
    address::{Address, CALLBACK},
    response,
};

/// A sign-in that ended: the user, the token that identifies it, and the page to return to.
pub(super) struct SignedIn {
    pub(super) principal: Principal,
    pub(super) token: String,
    pub(super) target: String,
}

/// Redirects the user to the provider.
pub(super) fn begin(
    provider: &ProviderSettings,
    address: &Address,
    target: &str,
) -> Result<Response<Body>, Error> {
    let attempt = Attempt::new(target)?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(attempt.verifier.as_bytes()));

    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", &address.absolute(CALLBACK))
        .append_pair("scope", &provider.scopes)
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");

    let url = &provider.authorize_url;
    let separator = if url.contains('?') { '&' } else { '?' };
    let location = format!("{url}{separator}{}", query.finish());
    let cookies = attempt.store().into_iter().collect();
    Ok(response::see_other(&location, cookies))
}

/// Redeems the code of the callback and verifies the token.
pub(super) async fn finish(
    context: &Context,
    provider: &ProviderSettings,
    request: &Request,
    address: &Address,
) -> Result<SignedIn, Error> {
    let attempt = Attempt::of(request).ok_or_else(|| {
        let detail = "this browser did not begin the sign-in, or more than 10 minutes ago";
        Problem::new(ProblemCode::InvalidRequest, detail)
    })?;
    if http::query_parameter(request, "state") != Some(attempt.state.as_str()) {
        let detail = "the response of the provider is for another sign-in";
        return Err(Problem::malformed("state", detail).into());
    }
    if let Some(reason) = http::query_parameter(request, "error") {
        let description = http::query_parameter(request, "error_description").unwrap_or_default();
        return Err(rejected(&format!("the provider rejects you: {reason} {description}")).into());
    }
    let code = http::query_parameter(request, "code")
        .ok_or_else(|| Problem::malformed("code", "the provider returned no code"))?;

    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &address.absolute(CALLBACK))
        .append_pair("client_id", &provider.client_id)
        .append_pair("code_verifier", &attempt.verifier)
        .finish();
    let issued = exchange(&provider.token_url, form)
        .await?
        .ok_or_else(|| rejected("the provider does not accept the code: sign in again"))?;

    let token = checked(provider, issued, &attempt.nonce)?;
    let verified = context.verifier.principal_of(&token).await;
    let principal = verified.map_err(|failure| match failure {
        Error::Rejected(problem) => rejected(&problem.detail).into(),
        other => other,
    })?;
    Ok(SignedIn {
        principal,
        token,
        target: attempt.target,
    })
}

/// Returns the token that identifies the user, after the check that the tokens were issued for this
/// attempt. The provider sent them over TLS in response to the code, so the nonce can be compared
/// before the signature is verified (OpenID Connect Core §3.1.3.7).
fn checked(
    provider: &ProviderSettings,
    issued: IssuedTokens,
    nonce: &str,
) -> Result<String, Problem> {
    let stated = issued.id_token.as_deref().map(nonce_of);
    if stated.is_some_and(|stated| stated.as_deref() != Some(nonce)) {
        return Err(rejected(
            "the provider issued the token for another sign-in",
        ));
    }

    let (token, what) = if provider.is_id_token {
        (issued.id_token, "ID token: request the scope openid")
    } else {
        (issued.access_token, "access token")
    };
    token.ok_or_else(|| rejected(&format!("the provider issued no {what}")))
}

/// Returns the nonce of a JWT.
fn nonce_of(token: &str) -> Option<String> {
    let claims = token.split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    claims.get("nonce")?.as_str().map(ToOwned::to_owned)
}

fn rejected(detail: &str) -> Problem {
    Problem::new(ProblemCode::Forbidden, detail)
}
