//! Decodes the cursors of lists. Every error is a 400 problem with the code `invalid_cursor`.

use tidemark_core::wire::{
    cursor,
    problem::{Problem, ProblemCode},
};

/// Returns the position after which the list of `query` continues; `None` without a cursor.
///
/// # Errors
/// Returns a problem if the cursor is corrupt or was returned for another list.
pub(crate) fn decode<const N: usize>(
    query: &str,
    text: Option<&str>,
) -> Result<Option<[String; N]>, Problem> {
    text.map(|text| cursor::decode(query, text))
        .transpose()
        .map_err(|error| problem(error.to_string()))
}

/// Returns the problem for a cursor that can be decoded and contains no position of the list.
pub(crate) fn invalid() -> Problem {
    problem("not a cursor of this list: start the list without a cursor")
}

fn problem(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::InvalidCursor, detail).at("cursor")
}
