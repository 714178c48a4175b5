//! Reads the content that a request to resolve a conflict contains (§5.2).

use crate::{
    model::{
        json::{Content, Json, JsonError, fields},
        limits::NESTING_MAX,
        result::ItemCode,
    },
    wire::problem::{Problem, ProblemCode},
};

/// Returns the content of a payload, without its `id`, which is an address and not content. `path`
/// is the place of the payload in the request.
pub(super) fn content(payload: &Json, path: &str) -> Result<Content, Problem> {
    Content::read(payload, fields(payload)).map_err(|error| match error {
        JsonError::TooDeep => {
            let detail = format!("{path}: nested more than {NESTING_MAX} levels deep");
            Problem::new(ProblemCode::Unprocessable, detail)
                .at(path)
                .with("reason", &ItemCode::PayloadTooDeep.as_str())
        }
        JsonError::Malformed(_) | JsonError::NotAnObject => {
            Problem::malformed(path, error.to_string())
        }
    })
}
