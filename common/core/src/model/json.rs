//! Payloads as the JSON text in which they were sent. A payload is never converted to numbers and
//! back: its text is preserved, so `1.0` stays `1.0` (§2), and payloads are compared by their
//! canonical text.

mod canonical;
mod content;
mod dedup;
mod same;
mod scan;
pub mod tree;

use indexmap::IndexMap;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::model::{limits::NESTING_MAX, work};

pub use canonical::canonical;
pub use content::Content;
pub use dedup::without_duplicates;

/// One JSON value, stored as its text.
pub type Json = Box<RawValue>;
/// The fields of an object in their original order, each as JSON text.
pub type Fields = IndexMap<String, Json>;

/// The reason why a text is not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Objects and arrays are nested more than [`NESTING_MAX`] levels deep.
    #[error("nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// The text is not JSON, or a string in it is not Unicode text (a lone surrogate).
    #[error("not valid JSON: {0}")]
    Malformed(String),
    /// The value is not an object.
    #[error("must be a JSON object")]
    NotAnObject,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(explain(&error))
    }
}

/// Describes for people why a text cannot be parsed. `serde_json` reports a string with an unpaired
/// surrogate as a hex escape that ends early.
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

/// Returns whether two values are equal apart from white space, the order of fields and the
/// escaping of strings.
pub fn is_same(one: &RawValue, other: &RawValue) -> bool {
    same::is_same(one.get(), other.get())
}

/// Returns the fields of an object; `None` if the value is not an object.
pub fn fields(value: &RawValue) -> Option<Fields> {
    work::parsed(value.get().len());
    serde_json::from_str(value.get()).ok()
}

/// Returns the text of an object with these fields.
pub fn object(fields: &Fields) -> Json {
    // Text keys and JSON texts always serialize. If they did not, `null` would be rejected as a
    // payload.
    serde_json::value::to_raw_value(fields).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Returns bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 over the parts, each prefixed with its length, so that different lists of
/// parts have different digests.
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

/// Returns the digest of a payload's canonical text, as the row of a created resource stores it.
pub fn payload_digest(payload: &RawValue) -> [u8; 16] {
    let canonical = canonical(payload).unwrap_or_else(|_| payload.get().to_owned());
    let digest = digest([canonical.as_bytes()]);
    std::array::from_fn(|index| digest[index])
}
