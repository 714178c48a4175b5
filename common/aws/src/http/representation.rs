//! The body of a response with status 200, and the entity tag of a response to a GET request (§8).

use lambda_http::{
    Body, Request, Response,
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;
use tidemark_core::model::json::{digest, hex};

use super::{header_text, response};
use crate::error::Error;

/// The bytes of the digest in an entity tag. It is written as twice as many hexadecimal digits.
const TAG_BYTES: usize = 8;

/// The body of a response, and its entity tag if it has one.
pub(super) struct Representation {
    body: String,
    tag: Option<String>,
}

impl Representation {
    /// Returns the representation of a response without an entity tag.
    ///
    /// # Errors
    /// Returns [`Error`] if the response cannot be serialized, which does not occur.
    pub(super) fn untagged<T: Serialize>(response: &T) -> Result<Self, Error> {
        Ok(Self {
            body: text(response)?,
            tag: None,
        })
    }

    /// Returns the representation of a response with an entity tag, which is a digest of the text
    /// of the response. If the response contains values that change with the time of the request,
    /// `without_ages` removes them, and the tag is a digest of the rest.
    ///
    /// # Errors
    /// Returns [`Error`] if the response cannot be serialized, which does not occur.
    pub(super) fn tagged<T: Serialize>(
        response: T,
        without_ages: impl FnOnce(T) -> Option<T>,
    ) -> Result<Self, Error> {
        let body = text(&response)?;
        let tag = match without_ages(response) {
            Some(rest) => tag(&text(&rest)?),
            None => tag(&body),
        };
        Ok(Self {
            body,
            tag: Some(tag),
        })
    }

    /// Returns the response with this representation: status 304 without a body if the client has
    /// it, and otherwise status 200.
    pub(super) fn into_response(self, request: &Request) -> Response<Body> {
        let Some(tag) = self.tag else {
            return response(request, 200, "application/json", self.body);
        };

        let mut response = if is_known(request, &tag) {
            not_modified()
        } else {
            response(request, 200, "application/json", self.body)
        };
        let _ =
            HeaderValue::from_str(&tag).map(|tag| response.headers_mut().insert(header::ETAG, tag));
        response
    }
}

fn text<T: Serialize>(response: &T) -> Result<String, Error> {
    serde_json::to_string(response).map_err(|error| Error::unencoded("response", error))
}

/// Returns the weak entity tag of this text. It is weak, because the same tag identifies the
/// compressed and the uncompressed body, and bodies that differ only in ages.
fn tag(text: &str) -> String {
    let digest = digest([text]);
    format!("W/\"{}\"", hex(&digest[..TAG_BYTES]))
}

/// Returns a response with status 304. Its other headers are those that a response with status 200
/// would have, apart from those about the body.
fn not_modified() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Returns whether `If-None-Match` of a request contains this tag.
fn is_known(request: &Request, tag: &str) -> bool {
    header_text(request, &header::IF_NONE_MATCH).is_some_and(|listed| is_listed(&listed, tag))
}

/// Returns whether a list of entity tags contains this weak tag, or is `*`. Tags are compared
/// weakly (RFC 9110 §8.8.3.2). A malformed list contains no tag. A comma in another tag cannot lead
/// to a false match, because the part of a tag beside a comma lacks a quotation mark.
fn is_listed(listed: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let wanted = opaque(tag);

    listed.trim() == "*" || listed.split(',').any(|one| opaque(one.trim()) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let tag = tag("{}");
        let strong = tag.trim_start_matches("W/").to_owned();
        let unquoted = strong.trim_matches('"').to_owned();

        for listed in [
            "*".to_owned(),
            " * ".to_owned(),
            tag.clone(),
            strong.clone(),
            format!("\"a\", {tag}"),
            format!("{tag},\"a\""),
            format!("W/\"a, b\",  {strong} "),
        ] {
            assert!(is_listed(&listed, &tag), "{listed}");
        }

        for listed in [
            String::new(),
            ",".to_owned(),
            "\"a\"".to_owned(),
            "\"*\"".to_owned(),
            "*, \"a\"".to_owned(),
            unquoted.clone(),
            format!("w/{strong}"),
            format!("W/W/{strong}"),
            format!("\"{unquoted}, a\""),
            format!("\"a,{unquoted}\""),
        ] {
            assert!(!is_listed(&listed, &tag), "{listed}");
        }
    }

    #[test]
    fn tag_depends_on_every_byte() {
        assert_eq!(tag("{}"), tag("{}"));
        assert_eq!(tag("{}").len(), "W/\"\"".len() + 2 * TAG_BYTES);
        assert_ne!(tag("{\"n\":1}"), tag("{\"n\":1.0}"));
    }
}
