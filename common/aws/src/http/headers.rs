//! Headers that every response carries, and those that let pages of the allowed origins read it
//! (CORS).

use lambda_http::{
    Body, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use tidemark_core::{
    origins::AllowedOrigins,
    protocol::problem::{Problem, ProblemCode},
    routes::ROUTES,
};

/// What a page may read of a response besides its body.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-amzn-requestid");
/// What a page may send.
const ALLOWED: HeaderValue =
    HeaderValue::from_static("authorization, content-type, content-encoding");
/// Seconds for which a browser may remember a preflight.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("3600");

/// Adds what every response carries: nobody stores it, nobody guesses another type of its body, and
/// pages of the allowed origins, and of no others, may read it.
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

/// Whether pages of this origin may use the API.
pub fn is_allowed(origins: &AllowedOrigins, origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|origin| origins.allows(origin))
}

/// The response to `OPTIONS`, which a browser sends before a request of a page: which methods and
/// headers the page may use. It needs no token, because browsers send none with it.
///
/// # Errors
/// A 404 problem for a path that is none of ours, and a 403 problem for a page of an origin that is
/// not allowed.
pub(super) fn preflight(
    request: &Request,
    path: &str,
    origins: &AllowedOrigins,
) -> Result<Response<Body>, Problem> {
    let methods: Vec<_> = ROUTES
        .iter()
        .filter(|route| route.path == path || route.is_of(path))
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

/// Whether a request is one that a browser asks before that of a page.
pub(super) fn is_options(request: &Request) -> bool {
    request.method() == Method::OPTIONS
}
