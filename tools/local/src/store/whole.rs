//! Stores an upload only if its body matches its signed headers. s3s verifies the signature over
//! the headers; s3s-fs compares the checksum only after the file is in its final place, and never
//! compares the length. S3 checks both first, and so does this module.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// S3's error code and message for a body that violates its headers.
type BodyError = (&'static str, &'static str);

const INCOMPLETE: BodyError = (
    "IncompleteBody",
    "You did not provide the number of bytes specified by the Content-Length HTTP header",
);
const BAD_DIGEST: BodyError = (
    "BadDigest",
    "The SHA256 you specified did not match the calculated checksum.",
);

/// The result of checking one request's body while it is read.
pub(super) struct BodyCheck(Arc<OnceLock<BodyError>>);

impl BodyCheck {
    /// Returns S3's error response if the body violated its headers.
    pub(super) fn rejection(&self) -> Option<Response> {
        let (code, message) = self.0.get()?;
        let body = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"#
        );
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/xml"),
        );
        Some(response)
    }
}

/// Wraps the body of a request with a signed URL: it breaks off where it violates the headers, so
/// that no file is stored. Other requests are unchanged, because they may send the body in signed
/// chunks, which s3s verifies itself.
pub(super) fn watch(request: Request) -> (Request, BodyCheck) {
    let violation = Arc::new(OnceLock::new());
    let body_check = BodyCheck(Arc::clone(&violation));
    let is_signed_url = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("X-Amz-Signature="));
    if request.method() != Method::PUT || !is_signed_url {
        return (request, body_check);
    }

    let expected = ExpectedBody::of(request.headers());
    let watched = |body: Body| {
        let chunks = stream::try_unfold(
            (body.into_data_stream(), expected, violation),
            async |(mut body, mut expected, violation)| {
                let read = match body.next().await {
                    Some(chunk) => {
                        let chunk = chunk?;
                        expected.take(&chunk).map(|()| Some(chunk))
                    }
                    None => expected.end().map(|()| None),
                };
                match read {
                    Ok(chunk) => Ok(chunk.map(|chunk| (chunk, (body, expected, violation)))),
                    Err(error) => {
                        // The first violation is kept.
                        let _ = violation.set(error);
                        Err(axum::Error::new(error.0))
                    }
                }
            },
        );
        Body::from_stream(chunks)
    };

    (request.map(watched), body_check)
}

/// The rest of the body that the headers require.
struct ExpectedBody {
    bytes: Option<u64>,
    sha256: Option<(String, Sha256)>,
}

impl ExpectedBody {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            bytes: text(header::CONTENT_LENGTH.as_str()).and_then(|bytes| bytes.parse().ok()),
            sha256: text("x-amz-checksum-sha256").map(|sum| (sum.to_owned(), Sha256::new())),
        }
    }

    fn take(&mut self, chunk: &Bytes) -> Result<(), BodyError> {
        if let Some(bytes) = &mut self.bytes {
            *bytes = bytes.checked_sub(chunk.len() as u64).ok_or(INCOMPLETE)?;
        }
        if let Some((_, hash)) = &mut self.sha256 {
            hash.update(chunk);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BodyError> {
        if self.bytes.is_some_and(|bytes| bytes > 0) {
            return Err(INCOMPLETE);
        }
        let is_other = self
            .sha256
            .take()
            .is_some_and(|(sum, hash)| STANDARD.encode(hash.finalize()) != sum);
        if is_other { Err(BAD_DIGEST) } else { Ok(()) }
    }
}
