//! An upload is stored as its signed headers say, or not at all. s3s verifies that the headers are
//! the signed ones; s3s-fs compares the checksum only when the file stands in its place already,
//! and the length never. S3 does both first, and so does this.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// How a body broke its promise: S3's code and words.
type BodyError = (&'static str, &'static str);

const INCOMPLETE: BodyError = (
    "IncompleteBody",
    "You did not provide the number of bytes specified by the Content-Length HTTP header",
);
const BAD_DIGEST: BodyError = (
    "BadDigest",
    "The SHA256 you specified did not match the calculated checksum.",
);

/// What becomes of the promise of one request's headers while its body is read.
pub(super) struct Promise(Arc<OnceLock<BodyError>>);

impl Promise {
    /// What S3 answers if the body broke it.
    pub(super) fn rejection(&self) -> Option<Response> {
        let (code, words) = self.0.get()?;
        let body = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{words}</Message></Error>"#
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

/// The request of a signed URL with a body that breaks off where it breaks its promise, so that
/// nothing is stored. Other requests are left alone: they may pack the body in signed chunks, which
/// s3s verifies itself.
pub(super) fn watch(request: Request) -> (Request, Promise) {
    let broken = Arc::new(OnceLock::new());
    let promise = Promise(Arc::clone(&broken));
    let is_signed_url = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("X-Amz-Signature="));
    if request.method() != Method::PUT || !is_signed_url {
        return (request, promise);
    }
    let expected = ExpectedBody::of(request.headers());
    let watched = |body: Body| {
        let chunks = stream::try_unfold(
            (body.into_data_stream(), expected, broken),
            async |(mut body, mut expected, broken)| {
                let read = match body.next().await {
                    Some(chunk) => {
                        let chunk = chunk?;
                        expected.take(&chunk).map(|()| Some(chunk))
                    }
                    None => expected.end().map(|()| None),
                };
                match read {
                    Ok(chunk) => Ok(chunk.map(|chunk| (chunk, (body, expected, broken)))),
                    Err(how) => {
                        // The first one counts.
                        let _ = broken.set(how);
                        Err(axum::Error::new(how.0))
                    }
                }
            },
        );
        Body::from_stream(chunks)
    };
    (request.map(watched), promise)
}

/// What is still to come, as the headers say.
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
