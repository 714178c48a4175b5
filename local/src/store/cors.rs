//! What lets a page in a browser upload: the bucket's CORS rule in `template.yaml`, for the one method it has.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, header};

/// How long a browser may remember the permission, as in the template.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("3600");

/// Whether a browser asks if it may upload.
pub(super) fn is_preflight(request: &Request) -> bool {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    request.method() == Method::OPTIONS && asked.is_some_and(|method| method == "PUT")
}

/// It may, with any headers: the signature decides.
pub(super) fn allow_upload() -> Response {
    let mut response = share(Response::new(Body::empty()));
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("PUT")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ];
    response.headers_mut().extend(allowed);
    response
}

/// A page of any origin may see the answer.
pub(super) fn share(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
