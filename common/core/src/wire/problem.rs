//! The response to a rejected request (§8): an RFC 9457 problem with a stable code and a sentence
//! that describes the error and its solution.

mod body;
mod code;

use serde::Serialize;

use crate::model::{
    json::{self, Json},
    limits::sentence,
};

pub use body::{ProblemBody, RejectedBody};
pub use code::ProblemCode;

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
