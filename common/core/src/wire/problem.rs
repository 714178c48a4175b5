//! The response to a rejected request (§8): an RFC 9457 problem with a stable code and a sentence
//! that describes the error and its solution.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{
    json::{self, Json},
    limits::sentence,
};

/// The reason why a request was rejected. Programs evaluate `code`; `detail` is for people and
/// contains no secret.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Determines the HTTP status and the stable code.
    pub code: ProblemCode,
    /// A description of the error and how to correct it.
    pub detail: String,
    /// The JSON path in the request body, such as `items[3].payload`.
    pub path: Option<String>,
    /// Further members, such as the server's current state.
    pub members: Vec<(&'static str, Json)>,
}

/// The reasons for which a request is rejected as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the body is not JSON or does not match the schema of the operation.
    InvalidRequest,
    /// 400: the pull token is corrupt or was not issued by this service.
    InvalidToken,
    /// 400: the cursor is corrupt or belongs to another list.
    InvalidCursor,
    /// 401: the bearer token is missing or invalid.
    Unauthenticated,
    /// 403: the caller lacks the permission.
    Forbidden,
    /// 404: the object does not exist, or it belongs to another tenant.
    NotFound,
    /// 409: the `batch_id` was sent before with other items.
    BatchIdReused,
    /// 409: the conflict was already resolved in another way.
    AlreadyResolved,
    /// 409: the resource does not have the version `expected_server_version`.
    VersionChanged,
    /// 409: another resource holds the value of a unique field.
    UniqueViolation,
    /// 409: concurrent updates of the same object repeatedly prevented the write.
    Contended,
    /// 413: the body is larger than 3 MB, as sent or decompressed.
    BodyTooLarge,
    /// 415: the body is declared as something other than JSON, plain or compressed with gzip.
    UnsupportedMediaType,
    /// 422: the request is valid JSON, but what it would store breaks a rule.
    Unprocessable,
    /// 422: uploads of this content type are not allowed.
    MediaTypeNotAllowed,
    /// 422: uploads of this size are not allowed.
    MediaTooLarge,
    /// 503: a dependency is throttled or unavailable. Retry after the number of seconds in
    /// `Retry-After`.
    Unavailable,
}

impl ProblemCode {
    /// Returns the HTTP status of the code.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidToken | Self::InvalidCursor => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::BatchIdReused
            | Self::AlreadyResolved
            | Self::VersionChanged
            | Self::UniqueViolation
            | Self::Contended => 409,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable | Self::MediaTypeNotAllowed | Self::MediaTooLarge => 422,
            Self::Unavailable => 503,
        }
    }

    /// Returns a short title, which is the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::InvalidToken => "The pull token is not valid",
            Self::InvalidCursor => "The cursor is not valid",
            Self::Unauthenticated => "The bearer token is missing or not valid",
            Self::Forbidden => "The caller lacks the permission",
            Self::NotFound => "The object does not exist",
            Self::BatchIdReused => "The batch id was used before",
            Self::AlreadyResolved => "The conflict is already resolved",
            Self::VersionChanged => "The resource has changed",
            Self::UniqueViolation => "Another resource holds the value",
            Self::Contended => "Concurrent updates prevented the write",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not JSON, plain or as gzip",
            Self::Unprocessable => "The request cannot be carried out",
            Self::MediaTypeNotAllowed => "Uploads of this type are not allowed",
            Self::MediaTooLarge => "The upload would be too large",
            Self::Unavailable => "The service is temporarily unavailable",
        }
    }
}

impl Problem {
    /// Creates a problem without a path.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: sentence(detail),
            path: None,
            members: Vec::new(),
        }
    }

    /// Creates the problem of a malformed body, with the path of the error.
    pub fn malformed(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail).at(path)
    }

    /// Creates the problem for an item that does not exist or belongs to another tenant.
    pub fn not_found() -> Self {
        Self::new(
            ProblemCode::NotFound,
            "the requested item does not exist in your tenant",
        )
    }

    /// Returns the problem with the JSON path that it refers to.
    pub fn at(self, path: impl Into<String>) -> Self {
        Self {
            path: Some(sentence(path)),
            ..self
        }
    }

    /// Returns the problem with one more member.
    pub fn with(mut self, name: &'static str, value: &impl Serialize) -> Self {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.members.push((name, value));
        }
        self
    }
}

/// An error response, as an RFC 9457 problem document.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemBody<'a> {
    /// The code as a URN. It is an identifier and cannot be dereferenced.
    pub r#type: String,
    /// A short title, which is the same for every occurrence of the code.
    pub title: &'a str,
    /// The HTTP status of the response.
    pub status: u16,
    /// The stable error code for programs.
    pub code: ProblemCode,
    /// A description of the error and how to correct it, for people.
    pub detail: &'a str,
    /// The position of the error in the request, if known: a JSON path such as `items[3].payload`,
    /// or the name of a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// The gateway's id of the request, to be quoted in support requests.
    pub request_id: &'a str,
    /// Further members, such as the server's current state.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub members: BTreeMap<&'a str, &'a Json>,
}

impl<'a> ProblemBody<'a> {
    /// Creates the response document for `problem`.
    pub fn new(problem: &'a Problem, request_id: &'a str) -> Self {
        let code = serde_json::to_value(problem.code).unwrap_or_default();

        Self {
            r#type: format!("urn:tidemark:problem:{}", code.as_str().unwrap_or_default()),
            title: problem.code.title(),
            status: problem.code.status(),
            code: problem.code,
            detail: &problem.detail,
            path: problem.path.as_deref(),
            request_id,
            members: problem
                .members
                .iter()
                .map(|(name, value)| (*name, value))
                .collect(),
        }
    }
}

/// Deserializes a request body.
///
/// # Errors
/// Returns a [`Problem`] with the JSON path of the first error.
pub fn read_body<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::malformed(
            "$",
            format!("the body is not UTF-8 from byte {}", error.valid_up_to()),
        )
    })?;

    // Some platforms write a byte order mark before UTF-8. JSON does not allow it, but a parser may
    // ignore it (RFC 8259 §8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);

    if !text.trim_start().starts_with('{') {
        return Err(Problem::malformed("$", "the body must be a JSON object"));
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." || path == "?" => "$".to_owned(),
            path => path,
        };
        Problem::malformed(path, json::explain(error.inner()))
    })?;

    deserializer
        .end()
        .map_err(|error| Problem::malformed("$", error.to_string()))?;

    Ok(read)
}
