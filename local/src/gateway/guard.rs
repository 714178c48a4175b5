//! Who may speak to the runner at all, checked in one place before anything else: programs on this
//! machine, and pages of the allowed origins where the API and the uploads are. The development key
//! and the credentials of the embedded services are public, so without this check a page of any
//! site that is open in a browser on this machine could read and change everything here: directly,
//! or by a host name that it lets lead to 127.0.0.1 (DNS rebinding).
//!
//! The same place completes every response with the headers that a deployment's responses carry.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use serde_json::json;
use tidemark_aws::http;
use tidemark_core::origins::AllowedOrigins;

use super::json_response;
use crate::store::BUCKET;

/// The names of this machine that a request may be sent to.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// Below it stands the API.
const API: &str = "/api/";

/// What the check goes by.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The port that the runner listens on.
    pub port: u16,
    /// The origins whose pages may use the API and upload media.
    pub origins: AllowedOrigins,
}

impl Guard {
    /// The guard of what no page may use.
    #[must_use]
    pub fn without_pages(port: u16) -> Self {
        Self {
            port,
            origins: AllowedOrigins::default(),
        }
    }

    /// The router with the guard before every entry point, those that are not found included.
    pub fn before(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), guard))
    }

    /// Whether a host, as `Host` or a request line names it, is this machine with this port. A port
    /// may be missing: no browser leaves one out that is not 80.
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
                "the runner answers to 127.0.0.1, localhost and [::1] with its port {}: send one of them as Host",
                self.port
            );
            return Some(problem(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "The host is not this runner",
                &detail,
            ));
        }
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let is_rejected = match (sent.next(), sent.next()) {
            (None, _) => is_of_another_site(headers),
            (Some(origin), None) => !http::is_allowed(origins, origin),
            (Some(_), Some(_)) => true,
        };
        is_rejected.then(|| {
            let detail = "pages of this origin may not ask for this: pages on localhost may use the API and upload media, and so may \
                those of the origins that --allowed-origins names";
            problem(StatusCode::FORBIDDEN, "forbidden", "The origin is not allowed", detail)
        })
    }
}

/// Whether a browser says that a page of another origin asks. With a method and headers that need
/// no permission it sends no `Origin`.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site")
}

async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let nobody = AllowedOrigins::default();
    let origins = if is_for_pages(request.uri().path()) {
        &guard.origins
    } else {
        &nobody
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    if let Some(mut rejected) = guard.rejection(request.uri(), request.headers(), origins) {
        http::complete(rejected.headers_mut(), origins, None);
        return rejected;
    }
    let mut response = next.run(request).await;
    http::complete(response.headers_mut(), origins, origin.as_ref());
    response
}

/// Whether pages of the allowed origins may ask for this path: the API and the uploads.
fn is_for_pages(path: &str) -> bool {
    let below = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(BUCKET));
    path.starts_with(API) || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A refusal, as a problem document and with the `message` that the clients of AWS show.
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
