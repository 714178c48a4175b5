//! A request body as text: without its content coding, and within its bound.

use std::borrow::Cow;

use lambda_http::{Request, http::header};
use serde::de::DeserializeOwned;
use tidemark_core::{
    gzip::{self, GunzipError},
    limits::BODY_BYTES_MAX,
    protocol::problem::{Problem, ProblemCode, read_body},
};

use super::header_text;

/// What every gzip member begins with (RFC 1952 §2.3.1). No JSON does.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads the body of a request as `T`, decompressed where it is gzip.
///
/// # Errors
/// A [`Problem`]: 415 for what is declared as something other than JSON, or has a coding other than
/// gzip; 413 over 3 MB, as sent or decompressed; 400 with the JSON path otherwise.
pub fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    body_of(request, request.body())
}

/// Reads a body that was taken off its request.
///
/// # Errors
/// As [`body`].
pub fn body_of<T: DeserializeOwned>(request: &Request, sent: &[u8]) -> Result<T, Problem> {
    check_media_type(request)?;
    check_coding(request)?;
    read_body(&decompressed(sent)?)
}

fn check_media_type(request: &Request) -> Result<(), Problem> {
    let Some(media_type) = header_text(request, &header::CONTENT_TYPE) else {
        return Ok(());
    };
    // A header that is repeated is joined with commas.
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

/// Refuses a coding that is not understood, and more than one.
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

/// The body without its content coding; neither form is larger than the bound. A body is gzip if it
/// begins like gzip, whether `content-encoding` says so or not: a REST API on AWS decompresses a
/// body and leaves the header, and a proxy may drop the header.
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
        format!("{found}, at most {BODY_BYTES_MAX} are read: send smaller batches"),
    )
}
