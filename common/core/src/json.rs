//! Payloads as the JSON text they came as. A payload is never turned into numbers and back: its text is kept, so `1.0` stays `1.0`
//! (§2), and two payloads are compared by their canonical text.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::limits::NESTING_MAX;

/// One JSON value, as its text.
pub type Json = Box<RawValue>;
/// An object's fields, each still text, in the order they stand.
pub type Fields = IndexMap<String, Json>;

/// Why a text is no payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Objects and arrays stand more than [`NESTING_MAX`] deep in each other.
    #[error("nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// Not JSON, or a string in it is no unicode text (a lone surrogate).
    #[error("not valid JSON: {0}")]
    Malformed(String),
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The canonical text of a value: no white space, keys sorted, strings escaped one way, numbers as they were written.
///
/// # Errors
/// [`JsonError::TooDeep`] beyond the bound, [`JsonError::Malformed`] for text that is not JSON.
pub fn canonical(value: &RawValue) -> Result<String, JsonError> {
    let mut text = String::with_capacity(value.get().len());
    write_canonical(value.get(), 0, &mut text)?;
    Ok(text)
}

fn write_canonical(value: &str, depth: usize, text: &mut String) -> Result<(), JsonError> {
    if depth == NESTING_MAX && value.starts_with(['{', '[']) {
        return Err(JsonError::TooDeep);
    }
    match value.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(value)?;
            text.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(name)?);
                text.push(':');
                write_canonical(field.get(), depth + 1, text)?;
            }
            text.push('}');
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(value)?;
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(element.get(), depth + 1, text)?;
            }
            text.push(']');
        }
        Some(b'"') => {
            let string: String = serde_json::from_str(value)?;
            text.push_str(&serde_json::to_string(&string)?);
        }
        _ => text.push_str(value),
    }
    Ok(())
}

/// Whether two values are the same but for white space, the order of fields and how strings are escaped.
pub fn is_same(one: &RawValue, other: &RawValue) -> bool {
    one.get() == other.get() || canonical(one).ok() == canonical(other).ok()
}

/// An object's fields; `None` when the value is no object.
pub fn fields(value: &RawValue) -> Option<Fields> {
    serde_json::from_str(value.get()).ok()
}

/// The text of an object with these fields.
pub fn object(fields: &Fields) -> Json {
    // Fields are text keys and JSON texts, so this cannot fail; `null` would be refused as a payload all the same.
    serde_json::value::to_raw_value(fields).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 over the parts, each with its length before it, so that no two lists of parts share a digest.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).expect("test JSON")
    }

    #[test]
    fn canonical_text_forgets_order_and_space_but_no_digit() {
        let value = raw(r#" { "b" : [1.0, 9007199254740993, 1e300], "a" : "\u0041" } "#);
        assert_eq!(canonical(&value).expect("canonical"), r#"{"a":"A","b":[1.0,9007199254740993,1e300]}"#);
    }

    #[test]
    fn nesting_is_accepted_up_to_the_bound() {
        let nested = |depth: usize| raw(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(canonical(&nested(NESTING_MAX)).is_ok());
        assert_eq!(canonical(&nested(NESTING_MAX + 1)), Err(JsonError::TooDeep));
        assert_eq!(canonical(&nested(100)), Err(JsonError::TooDeep));
    }

    #[test]
    fn a_lone_surrogate_is_malformed_not_a_panic() {
        assert!(matches!(canonical(&raw(r#"{"a":"\ud800"}"#)), Err(JsonError::Malformed(_))));
    }
}
