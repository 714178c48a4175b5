//! What a refused request is answered with (§8): an RFC 9457 problem with a stable code and a sentence that says what to do.

use serde::Serialize;

use crate::limits::sentence;

/// Why a request was refused. `code` is what programs branch on; `detail` is for people, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Decides the HTTP status and the stable code.
    pub code: ProblemCode,
    /// What is wrong, and what to do about it.
    pub detail: String,
    /// Where in the request body, as a JSON path such as `items[3].payload`.
    pub path: Option<String>,
}

/// Every way a request is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the body is not JSON, or not of the shape of the operation.
    InvalidRequest,
    /// 400: a pull token that this service never made, or that was damaged on its way.
    InvalidToken,
    /// 401: no token, or one that does not verify.
    Unauthenticated,
    /// 409: a `batch_id` sent before with other items.
    BatchIdReused,
    /// 413: a body over 3 MB.
    BodyTooLarge,
    /// 415: a body that is declared to be something other than JSON.
    UnsupportedMediaType,
    /// 503: the tables are throttled or out of reach; retry after the seconds in `Retry-After`.
    Unavailable,
}

impl ProblemCode {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidToken => 400,
            Self::Unauthenticated => 401,
            Self::BatchIdReused => 409,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unavailable => 503,
        }
    }

    /// A short title, the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::InvalidToken => "The pull token is not valid",
            Self::Unauthenticated => "The bearer token is missing or not valid",
            Self::BatchIdReused => "The batch id was used before",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not JSON",
            Self::Unavailable => "The service cannot answer now",
        }
    }
}

impl Problem {
    /// A problem that is about no place in the body.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: sentence(detail), path: None }
    }

    /// A malformed body, and where.
    pub fn malformed(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail).at(path)
    }

    /// The problem, with the JSON path it is about.
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(sentence(path)), ..self }
    }
}

/// Reads a request body.
///
/// # Errors
/// A [`Problem`] with the JSON path of the first thing that does not fit.
pub fn read_body<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Problem::malformed("$", format!("the body is not UTF-8 from byte {}", error.valid_up_to())))?;
    if !text.trim_start().starts_with('{') {
        return Err(Problem::malformed("$", "the body must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." || path == "?" => "$".to_owned(),
            path => path,
        };
        Problem::malformed(path, error.inner().to_string())
    })?;
    deserializer.end().map_err(|error| Problem::malformed("$", error.to_string()))?;
    Ok(read)
}
