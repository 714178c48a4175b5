//! A browser: it stores cookies, and states the origin and the site of its requests.

use std::collections::BTreeMap;

use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, header};
use tidemark_tests::{ApiResponse, Stack};

/// The host of every deployment in these tests.
pub(super) const HOST: &str = "sync.example";
/// The cookie with the first part of the token.
pub(super) const SESSION: &str = "__Host-tidemark-session-0";

/// A browser with its cookies.
pub(super) struct Browser<'a> {
    stack: &'a Stack,
    /// The cookies by name.
    pub(super) cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    /// Creates a browser without cookies.
    pub(super) fn new(stack: &'a Stack) -> Self {
        Self {
            stack,
            cookies: BTreeMap::new(),
        }
    }

    /// Creates a browser with the session of this token.
    pub(super) fn with_token(stack: &'a Stack, token: &str) -> Self {
        let mut browser = Self::new(stack);
        browser.cookies.insert(SESSION.to_owned(), token.to_owned());
        browser
    }

    /// Creates a browser with the session of a user of the tenant `acme`.
    pub(super) fn signed_in(stack: &'a Stack, roles: &[&str]) -> Self {
        Self::with_token(stack, &stack.token("acme", "ana", roles, &["north"]))
    }

    /// Opens a page by its path below the console.
    pub(super) async fn get(&mut self, path: &str) -> ApiResponse {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form of a page of the console.
    pub(super) async fn post(&mut self, path: &str, form: &str) -> ApiResponse {
        let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
        self.send("POST", path, &own, form).await
    }

    /// Sends a request with further headers.
    pub(super) async fn send(
        &mut self,
        method: &'static str,
        path: &str,
        further: &[(&'static str, &str)],
        body: &str,
    ) -> ApiResponse {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(HOST));
        for (name, value) in further {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            let cookies = HeaderValue::from_str(&cookies.join("; ")).unwrap();
            headers.insert(header::COOKIE, cookies);
        }

        let event = self
            .stack
            .console_event(method, path, &headers, body.as_bytes());
        let response = ApiResponse::read(self.stack.deliver("console", &event).await);
        self.keep(&response.headers);
        response
    }

    /// Stores the cookies that a response sets.
    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Returns the target of a redirect.
pub(super) fn location(response: &ApiResponse) -> &str {
    assert_eq!(response.status, 303, "{}", response.text);
    response.headers[header::LOCATION].to_str().unwrap()
}
