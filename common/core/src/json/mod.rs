//! Payloads as the JSON text they came as. A payload is never turned into numbers and back: its
//! text is kept, so `1.0` stays `1.0` (§2), and two payloads are compared by their canonical text.

mod canonical;
mod content;
mod dedup;
mod same;
mod scan;
pub mod tree;

use indexmap::IndexMap;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::{limits::NESTING_MAX, work};

pub use canonical::canonical;
pub use content::Content;
pub use dedup::without_duplicates;

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
    /// Another value than an object.
    #[error("must be a JSON object")]
    NotAnObject,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(explain(&error))
    }
}

/// What is wrong with a text, for people. `serde_json` reports a string with an unpaired surrogate
/// as a hex escape that ends early.
pub fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text
        .strip_prefix("lone leading surrogate in hex escape")
        .or_else(|| text.strip_prefix("unexpected end of hex escape"))
    {
        Some(place) => {
            format!(
                "a key or a string has an unpaired surrogate (\\ud800 to \\udfff), which is no Unicode text{place}"
            )
        }
        None => text,
    }
}

/// Whether two values are the same but for white space, the order of fields and how strings are
/// escaped.
pub fn is_same(one: &RawValue, other: &RawValue) -> bool {
    same::is_same(one.get(), other.get())
}

/// An object's fields; `None` when the value is no object.
pub fn fields(value: &RawValue) -> Option<Fields> {
    work::parsed(value.get().len());
    serde_json::from_str(value.get()).ok()
}

/// The text of an object with these fields.
pub fn object(fields: &Fields) -> Json {
    // Fields are text keys and JSON texts, so this cannot fail; `null` would be refused as a
    // payload all the same.
    serde_json::value::to_raw_value(fields).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 over the parts, each with its length before it, so that no two lists of parts share a
/// digest.
pub fn digest(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        work::hashed(part.len());
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
