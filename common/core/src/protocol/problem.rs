//! What a refused request is answered with (§8): an RFC 9457 problem with a stable code and a
//! sentence that says what to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    json::{self, Json},
    limits::sentence,
};

/// Why a request was refused. `code` is what programs branch on; `detail` is for people, and holds
/// no secret.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Decides the HTTP status and the stable code.
    pub code: ProblemCode,
    /// What is wrong, and what to do about it.
    pub detail: String,
    /// Where in the request body, as a JSON path such as `items[3].payload`.
    pub path: Option<String>,
    /// Further members, such as what the server holds.
    pub members: Vec<(&'static str, Json)>,
}

/// Every way a request is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the body is not JSON, or not of the shape of the operation.
    InvalidRequest,
    /// 400: a pull token that this service never made, or that was damaged on its way.
    InvalidToken,
    /// 400: a cursor that is none of the list it was sent to, or that was damaged on its way.
    InvalidCursor,
    /// 401: no token, or one that does not verify.
    Unauthenticated,
    /// 403: the caller may not do this.
    Forbidden,
    /// 404: there is no such thing, or it is another tenant's.
    NotFound,
    /// 409: a `batch_id` sent before with other items.
    BatchIdReused,
    /// 409: the conflict was decided before, in another way.
    AlreadyResolved,
    /// 409: the resource is not at `expected_server_version`.
    VersionChanged,
    /// 409: another resource holds the value of a unique field.
    UniqueViolation,
    /// 409: others changed the same thing at the same moment, again and again.
    Contended,
    /// 413: a body over 3 MB, as sent or unpacked.
    BodyTooLarge,
    /// 415: a body that is declared to be something other than JSON, plain or as gzip.
    UnsupportedMediaType,
    /// 422: the request reads, and cannot be done: what it would store breaks a rule.
    Unprocessable,
    /// 422: uploads of this content type are not taken.
    MediaTypeNotAllowed,
    /// 422: uploads of this size are not taken.
    MediaTooLarge,
    /// 503: the tables are throttled or out of reach; retry after the seconds in `Retry-After`.
    Unavailable,
}

impl ProblemCode {
    /// The HTTP status.
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

    /// A short title, the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::InvalidToken => "The pull token is not valid",
            Self::InvalidCursor => "The cursor is not valid",
            Self::Unauthenticated => "The bearer token is missing or not valid",
            Self::Forbidden => "The caller may not do this",
            Self::NotFound => "There is no such thing",
            Self::BatchIdReused => "The batch id was used before",
            Self::AlreadyResolved => "The conflict is decided already",
            Self::VersionChanged => "The resource has changed",
            Self::UniqueViolation => "Another resource holds the value",
            Self::Contended => "Others changed it at the same moment",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not JSON, plain or as gzip",
            Self::Unprocessable => "The request cannot be carried out",
            Self::MediaTypeNotAllowed => "Uploads of this type are not taken",
            Self::MediaTooLarge => "The upload would be too large",
            Self::Unavailable => "The service cannot answer now",
        }
    }
}

impl Problem {
    /// A problem that is about no place in the body.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: sentence(detail),
            path: None,
            members: Vec::new(),
        }
    }

    /// A malformed body, and where.
    pub fn malformed(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail).at(path)
    }

    /// The problem, with the JSON path it is about.
    pub fn at(self, path: impl Into<String>) -> Self {
        Self {
            path: Some(sentence(path)),
            ..self
        }
    }

    /// The problem, with one more member.
    pub fn with(mut self, name: &'static str, value: &impl Serialize) -> Self {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.members.push((name, value));
        }
        self
    }
}

/// A problem as it is written (RFC 9457).
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemBody<'a> {
    /// The code, as a URN: a name to compare, not an address to look up.
    pub r#type: String,
    /// The same for every occurrence.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: ProblemCode,
    /// What is wrong and what to do about it, for people.
    pub detail: &'a str,
    /// Where in the request, when that can be told: a JSON path such as `items[3].payload`, or the
    /// name of a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// The gateway's id of the request, to name when asking for help.
    pub request_id: &'a str,
    /// Further members, such as what the server holds.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub members: BTreeMap<&'a str, &'a Json>,
}

impl<'a> ProblemBody<'a> {
    /// What a client is told of `problem`.
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

/// Reads a request body.
///
/// # Errors
/// A [`Problem`] with the JSON path of the first thing that does not fit.
pub fn read_body<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::malformed(
            "$",
            format!("the body is not UTF-8 from byte {}", error.valid_up_to()),
        )
    })?;
    // Some platforms write a byte order mark before UTF-8. JSON has none, and a reader may ignore
    // it (RFC 8259 §8.1).
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
