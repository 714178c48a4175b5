//! The operation and the object of a request to S3.

use http::Method;

/// Returns the path that a request addresses: `/bucket/key`, or `/bucket/prefix` of a listing.
#[must_use]
pub fn target(uri: &http::Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let prefix = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "prefix")
        .map(|(_, prefix)| prefix);
    match prefix {
        Some(prefix) => format!("{}/{prefix}", uri.path().trim_end_matches('/')),
        None => uri.path().to_owned(),
    }
}

/// Returns S3's operation name of a request for an object.
pub(super) fn operation(parts: &http::request::Parts) -> &'static str {
    match parts.method {
        Method::PUT if parts.headers.contains_key("x-amz-copy-source") => "CopyObject",
        Method::HEAD => "HeadObject",
        Method::GET
            if parts
                .uri
                .query()
                .is_some_and(|query| query.contains("list-type=2")) =>
        {
            "ListObjectsV2"
        }
        Method::GET => "GetObject",
        Method::PUT => "PutObject",
        Method::DELETE => "DeleteObject",
        _ => "PostObject",
    }
}
