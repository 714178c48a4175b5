//! What lets a page in a browser upload: the bucket's CORS rule in `template.yaml`, for the one
//! method it has. Which origins' pages may ask is checked before, where every request comes in
//! ([`crate::gateway::Guard`]).

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, header};

/// How long a browser may remember the permission, as in the template.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("3600");

/// The origin of a browser's question whether it may upload; none for other requests.
pub(super) fn preflight(request: &Request) -> Option<HeaderValue> {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let is_preflight =
        request.method() == Method::OPTIONS && asked.is_some_and(|method| method == "PUT");
    request
        .headers()
        .get(header::ORIGIN)
        .filter(|_| is_preflight)
        .cloned()
}

/// It may, with any headers: the signature decides.
pub(super) fn allow_upload(origin: HeaderValue) -> Response {
    let mut response = share(Response::new(Body::empty()), origin);
    let allowed = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("PUT"),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("*"),
        ),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ];
    response.headers_mut().extend(allowed);
    response
}

/// A page of this origin may see the answer.
pub(super) fn share(mut response: Response, origin: HeaderValue) -> Response {
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response
}
