//! Reads request bodies: checks the media type, decompresses, and limits the size.

use std::borrow::Cow;

use lambda_http::{Request, http::header};
use serde::de::DeserializeOwned;
use tidemark_core::{
    model::limits::BODY_BYTES_MAX,
    wire::{
        gzip::{self, GunzipError},
        problem::{Problem, ProblemCode, read_body},
    },
};

use super::header_text;

/// The first bytes of every gzip member (RFC 1952 §2.3.1). No JSON text begins with them.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Parses the body of a request as `T` after decompressing it if it is gzip.
///
/// # Errors
/// Returns a [`Problem`]: 415 if the media type is not JSON or the coding is not gzip, 413 if the
/// body has more than 3 MB as sent or decompressed, and 400 with the JSON path otherwise.
pub fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    body_of(request, request.body())
}

/// Parses a body that was taken out of its request.
///
/// # Errors
/// Returns the same problems as [`body`].
pub fn body_of<T: DeserializeOwned>(request: &Request, sent: &[u8]) -> Result<T, Problem> {
    check_media_type(request)?;
    check_coding(request)?;
    read_body(&decompressed(sent)?)
}

fn check_media_type(request: &Request) -> Result<(), Problem> {
    let Some(media_type) = header_text(request, &header::CONTENT_TYPE) else {
        return Ok(());
    };

    // A repeated header is joined with commas.
    let essence = media_type
        .split([';', ','])
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence != "application/json" && !essence.ends_with("+json") {
        let detail = format!("content-type is {essence:?}: send application/json");
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    Ok(())
}

/// Rejects unsupported codings and more than one coding.
fn check_coding(request: &Request) -> Result<(), Problem> {
    let declared = header_text(request, &header::CONTENT_ENCODING)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let mut codings = declared
        .split(',')
        .map(str::trim)
        .filter(|coding| !matches!(*coding, "" | "identity"));

    match (codings.next(), codings.next()) {
        (None | Some("gzip" | "x-gzip"), None) => Ok(()),
        _ => {
            let detail = format!(
                "content-encoding is {declared:?}: send the body as it is, or once as gzip"
            );
            Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
        }
    }
}

/// Returns the body without its content coding. Neither form may exceed the limit. A body is
/// treated as gzip if it begins with the magic bytes, regardless of `content-encoding`: a REST API
/// on AWS decompresses a body and keeps the header, and a proxy may drop the header.
fn decompressed(sent: &[u8]) -> Result<Cow<'_, [u8]>, Problem> {
    if sent.len() > BODY_BYTES_MAX {
        return Err(too_large(format!("the body has {} bytes", sent.len())));
    }
    if !sent.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(sent));
    }
    match gzip::gunzip(sent, BODY_BYTES_MAX) {
        Ok(body) => Ok(Cow::Owned(body)),
        Err(error @ GunzipError::Damaged(_)) => Err(Problem::malformed("$", error.to_string())),
        Err(error @ GunzipError::TooLarge(_)) => Err(too_large(error.to_string())),
    }
}

fn too_large(found: String) -> Problem {
    Problem::new(
        ProblemCode::BodyTooLarge,
        format!("{found}, the limit is {BODY_BYTES_MAX}: send smaller batches"),
    )
}
