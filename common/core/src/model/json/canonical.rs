//! The canonical text of a value, written in one pass: without white space, with sorted keys,
//! strings escaped in one way, and numbers as they were sent.

mod reader;

use serde_json::value::RawValue;

use crate::model::{json::JsonError, work};

use reader::CanonicalReader;

/// Returns the canonical text of a value.
///
/// # Errors
/// Returns [`JsonError::TooDeep`] above the nesting bound, and [`JsonError::Malformed`] if a string
/// is not Unicode text.
pub fn canonical(value: &RawValue) -> Result<String, JsonError> {
    canonical_of(value.get())
}

/// Returns the canonical text of a text that is known to be JSON.
pub(crate) fn canonical_of(value: &str) -> Result<String, JsonError> {
    read_text(value, false).map(|(text, _)| text)
}

/// Returns the canonical text, and whether any object in the value has two fields with the same
/// name. `without_id` omits the top-level field `id`.
///
/// # Errors
/// Returns the errors of [`canonical`].
pub(super) fn read(value: &RawValue, without_id: bool) -> Result<(String, bool), JsonError> {
    read_text(value.get(), without_id)
}

fn read_text(value: &str, without_id: bool) -> Result<(String, bool), JsonError> {
    work::parsed(value.len());
    let mut reader = CanonicalReader {
        rest: value,
        text: String::with_capacity(value.len()),
        without_id,
        has_duplicates: false,
    };
    reader.value(0)?;
    work::written(reader.text.len());
    Ok((reader.text, reader.has_duplicates))
}

#[cfg(test)]
mod tests;
