//! The headers of every response, and the CORS headers that let pages of the allowed origins read
//! it.

use lambda_http::{
    Body, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use tidemark_core::wire::{
    origins::AllowedOrigins,
    problem::{Problem, ProblemCode},
    routes::ROUTES,
};

/// The response headers that a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, retry-after, x-amzn-requestid");
/// The request headers that a page may send.
const ALLOWED: HeaderValue =
    HeaderValue::from_static("authorization, content-type, content-encoding, if-none-match");
/// The seconds for which a browser may cache a preflight response.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("3600");

/// Adds the headers of every response: it must not be cached, its content type must not be sniffed,
/// and only pages of the allowed origins may read it.
pub fn complete(headers: &mut HeaderMap, origins: &AllowedOrigins, origin: Option<&HeaderValue>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if origins.is_empty() {
        return;
    }

    let varies = headers
        .get(header::VARY)
        .and_then(|vary| vary.to_str().ok());
    if !varies.is_some_and(|names| {
        names
            .split(',')
            .any(|name| name.trim().eq_ignore_ascii_case("origin"))
    }) {
        let varies = varies.map_or_else(|| "origin".to_owned(), |names| format!("{names}, origin"));
        let _ = HeaderValue::from_str(&varies).map(|varies| headers.insert(header::VARY, varies));
    }

    if let Some(origin) = origin.filter(|origin| is_allowed(origins, origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Returns whether pages of this origin may use the API.
pub fn is_allowed(origins: &AllowedOrigins, origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|origin| origins.allows(origin))
}

/// Returns the response to a CORS preflight request (`OPTIONS`): the methods and headers that a
/// page may use. Requires no token, because browsers send none with it.
///
/// # Errors
/// Returns a 404 problem if the path matches no route, and a 403 problem if the origin is not
/// allowed.
pub(super) fn preflight(
    request: &Request,
    path: &str,
    origins: &AllowedOrigins,
) -> Result<Response<Body>, Problem> {
    // A route without placeholders takes precedence over routes whose placeholders also match.
    let is_exact = ROUTES.iter().any(|route| route.path == path);
    let methods: Vec<_> = ROUTES
        .iter()
        .filter(|route| route.path == path || !is_exact && route.is_of(path))
        .map(|route| route.method)
        .collect();
    if methods.is_empty() {
        return Err(Problem::new(
            ProblemCode::NotFound,
            "there is no such route",
        ));
    }

    let methods = format!("{}, OPTIONS", methods.join(", "));
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let mut insert = |name: HeaderName, value: &str| {
        let _ =
            HeaderValue::from_str(value).map(|value| response.headers_mut().insert(name, value));
    };
    insert(header::ALLOW, &methods);

    match request.headers().get(header::ORIGIN) {
        None => {}
        Some(origin) if is_allowed(origins, origin) => {
            insert(header::ACCESS_CONTROL_ALLOW_METHODS, &methods);
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
        }
        Some(_) => {
            let detail = "pages of this origin may not use the API: name it in AllowedOrigins";
            return Err(Problem::new(ProblemCode::Forbidden, detail));
        }
    }

    Ok(response)
}

/// Returns whether a request is a CORS preflight request.
pub(super) fn is_options(request: &Request) -> bool {
    request.method() == Method::OPTIONS
}
