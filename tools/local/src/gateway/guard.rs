//! Access control of the runner, checked in one place before any entry point. It admits programs on
//! this machine, and pages of the allowed origins to the API and the uploads. The development key
//! and the credentials of the embedded services are public. Without this check, a page of any site
//! that is open in a browser on this machine could read and change all data, either directly or
//! through a host name that resolves to 127.0.0.1 (DNS rebinding).
//!
//! The middleware also adds to every response the headers that a deployment's responses have, except
//! to those of the console, which has its own.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use serde_json::json;
use tidemark_aws::http;
use tidemark_core::wire::origins::AllowedOrigins;

use super::json_response;
use crate::store::BUCKET;

/// Host names of this machine to which a request may be sent.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// Path prefix of the API.
const API: &str = "/api/";
/// Path of the console.
const CONSOLE: &str = "/console";

/// Settings of the access check.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Port on which the runner listens.
    pub port: u16,
    /// The origins whose pages may use the API and upload media.
    pub origins: AllowedOrigins,
}

impl Guard {
    /// Returns a guard that rejects pages of all origins.
    #[must_use]
    pub fn without_pages(port: u16) -> Self {
        Self {
            port,
            origins: AllowedOrigins::default(),
        }
    }

    /// Adds the guard to the router, so that it precedes every entry point and the response to
    /// unknown paths.
    pub fn before(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), guard))
    }

    /// Returns whether a host, from `Host` or a request line, is this machine with this port. The
    /// port may be missing, because browsers omit no other port than 80.
    fn is_here(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        HOSTS.iter().any(|name| match host.strip_prefix(name) {
            Some(rest) => {
                rest.is_empty() || rest.strip_prefix(':') == Some(self.port.to_string().as_str())
            }
            None => false,
        })
    }

    fn rejection(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        origins: &AllowedOrigins,
    ) -> Option<Response> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts
            .next()
            .filter(|_| hosts.next().is_none())
            .and_then(|host| host.to_str().ok());
        let is_here = host.is_some_and(|host| self.is_here(host));
        if !is_here
            || uri
                .authority()
                .is_some_and(|authority| !self.is_here(authority.as_str()))
        {
            let detail = format!(
                "the runner accepts the hosts 127.0.0.1, localhost and [::1] with its port {}: send one of them as Host",
                self.port
            );
            return Some(problem(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "The host is not this runner",
                &detail,
            ));
        }

        // The console itself rejects forms of other sites, as it does on AWS. A link of another site
        // may lead to it.
        if is_console(uri.path()) {
            return None;
        }
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let is_rejected = match (sent.next(), sent.next()) {
            (None, _) => is_of_another_site(headers),
            (Some(origin), None) => !http::is_allowed(origins, origin),
            (Some(_), Some(_)) => true,
        };

        is_rejected.then(|| {
            let detail = "pages of this origin may not send this request: pages on localhost may use the API and upload media, and so may \
                those of the origins that --allowed-origins names";
            problem(StatusCode::FORBIDDEN, "forbidden", "The origin is not allowed", detail)
        })
    }
}

/// Returns whether a browser marks the request as one from a page of another origin. If the method
/// and headers need no preflight, browsers send no `Origin`.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site")
}

async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let no_origins = AllowedOrigins::default();
    let origins = if is_for_pages(request.uri().path()) {
        &guard.origins
    } else {
        &no_origins
    };

    let origin = request.headers().get(header::ORIGIN).cloned();
    if let Some(mut rejected) = guard.rejection(request.uri(), request.headers(), origins) {
        http::complete(rejected.headers_mut(), origins, None);
        return rejected;
    }

    // The console sets its own headers, and its files are cached.
    let is_console = is_console(request.uri().path());
    let mut response = next.run(request).await;
    if is_console {
        return response;
    }
    http::complete(response.headers_mut(), origins, origin.as_ref());
    response
}

/// Returns whether a path is the console's.
fn is_console(path: &str) -> bool {
    path.strip_prefix(CONSOLE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether pages of the allowed origins may request this path: the API and the uploads.
fn is_for_pages(path: &str) -> bool {
    let below = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(BUCKET));
    path.starts_with(API) || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns a rejection as a problem document, with the `message` that AWS clients display.
fn problem(status: StatusCode, code: &str, title: &str, detail: &str) -> Response {
    let kind = format!("urn:tidemark:problem:{code}");
    let body = json!({"type": kind, "title": title, "status": status.as_u16(), "code": code, "detail": detail, "message": detail});
    let mut response = json_response(status, body.to_string());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
