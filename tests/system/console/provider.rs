//! An identity provider: issues a code for a user, and redeems it as RFC 6749 and RFC 7636 require.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidemark_tests::Stack;
use tokio::net::TcpListener;

use super::browser::{Browser, location};
use crate::auth::{Key, good_claims};

/// The client id of the console.
pub(super) const CLIENT: &str = "console-client";

/// What the provider stores for a code.
struct Grant {
    challenge: String,
    redirect_uri: String,
    response: Value,
}

type Grants = Arc<Mutex<BTreeMap<String, Grant>>>;

/// A provider with a token endpoint on this machine.
pub(super) struct TokenEndpoint {
    /// The address of the token endpoint.
    pub(super) token_url: String,
    grants: Grants,
}

impl TokenEndpoint {
    /// Starts the token endpoint.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token_url = format!("http://{}/token", listener.local_addr().unwrap());
        let grants = Grants::default();
        let router = Router::new()
            .route("/token", post(redeem))
            .with_state(Arc::clone(&grants));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { token_url, grants }
    }

    /// Returns a deployment that uses this provider, with these variables in addition.
    pub(super) fn deployment(&self, further: &[(&str, &str)]) -> Stack {
        let own = [
            ("CONSOLE_CLIENT_ID", CLIENT),
            (
                "CONSOLE_AUTHORIZE_URL",
                "https://login.example/authorize?realm=a",
            ),
            ("CONSOLE_TOKEN_URL", self.token_url.as_str()),
        ];
        let variables: Vec<_> = own.into_iter().chain(further.iter().copied()).collect();
        Stack::configured(&variables)
    }

    /// Signs in the user as the provider does when the console redirects to it: returns the query
    /// of the callback. `issue` returns the response of the token endpoint.
    pub(super) fn approve(
        &self,
        authorize: &BTreeMap<String, String>,
        issue: impl FnOnce(&str) -> Value,
    ) -> String {
        let code = format!("code-{}", self.grants.lock().unwrap().len());
        let grant = Grant {
            challenge: authorize["code_challenge"].clone(),
            redirect_uri: authorize["redirect_uri"].clone(),
            response: issue(&authorize["nonce"]),
        };
        self.grants.lock().unwrap().insert(code.clone(), grant);
        format!("code={code}&state={}", authorize["state"])
    }
}

async fn redeem(State(grants): State<Grants>, form: String) -> (StatusCode, String) {
    let form = parameters(&form);
    let rejected = (
        StatusCode::BAD_REQUEST,
        json!({"error": "invalid_grant"}).to_string(),
    );
    let Some(grant) = grants.lock().unwrap().remove(&form["code"]) else {
        return rejected;
    };

    let challenge = Sha256::digest(form["code_verifier"].as_bytes());
    let is_valid = form["grant_type"] == "authorization_code"
        && form["client_id"] == CLIENT
        && form["redirect_uri"] == grant.redirect_uri
        && BASE64_URL_SAFE_NO_PAD.encode(challenge) == grant.challenge;
    if is_valid {
        (StatusCode::OK, grant.response.to_string())
    } else {
        rejected
    }
}

/// Returns the parameters of a form or of a query.
pub(super) fn parameters(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// Begins a sign-in, and returns the parameters with which the browser reaches the provider.
pub(super) async fn begin(browser: &mut Browser<'_>, target: &str) -> BTreeMap<String, String> {
    let query = if target.is_empty() {
        String::new()
    } else {
        let target: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        format!("?target={target}")
    };
    let response = browser.get(&format!("sign-in{query}")).await;
    let (url, query) = location(&response).split_once('?').unwrap();
    assert_eq!(url, "https://login.example/authorize");
    parameters(query)
}

/// Returns a token for an admin of the tenant `acme` with this nonce and a claim of this many
/// bytes.
pub(super) fn id_token(stack: &Stack, nonce: &str, padding: usize) -> String {
    let mut claims = good_claims(stack);
    claims["roles"] = json!(["admin"]);
    claims["nonce"] = json!(nonce);
    claims["padding"] = json!("a".repeat(padding));
    Key::development().sign(&claims)
}
