//! CORS of the embedded S3, which lets a page in a browser upload: the bucket's CORS rule in
//! `template.yaml`, for its only method. The allowed origins are checked earlier, in
//! [`crate::gateway::Guard`], for every request.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, header};

/// Seconds for which a browser may cache the permission, as in the template.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("3600");

/// Returns the origin of a preflight request for an upload; `None` for other requests.
pub(super) fn preflight(request: &Request) -> Option<HeaderValue> {
    let requested = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let is_preflight =
        request.method() == Method::OPTIONS && requested.is_some_and(|method| method == "PUT");
    request
        .headers()
        .get(header::ORIGIN)
        .filter(|_| is_preflight)
        .cloned()
}

/// Returns the response to a preflight request. It allows any headers, because the signature
/// authorizes the upload.
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

/// Adds the header that lets a page of this origin read the response.
pub(super) fn share(mut response: Response, origin: HeaderValue) -> Response {
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response
}
