//! The bounds of a payload (§2), and what an item is told that does not have the shape of one.

use serde_json::value::RawValue;

use super::intake::Refusal;
use crate::{
    json::{self, Fields},
    limits::{PAYLOAD_BYTES_MAX, PAYLOAD_FIELDS_MAX},
    protocol::push::ItemCode,
};

/// Checks a payload, as sent or as it would be stored, against the bounds of §2.
pub(super) fn check_size(payload: &RawValue, fields: &Fields) -> Result<(), Refusal> {
    if payload.get().len() > PAYLOAD_BYTES_MAX {
        let error = format!("payload: {} bytes, at most {PAYLOAD_BYTES_MAX} are stored", payload.get().len());
        return Err(Refusal::new(ItemCode::PayloadTooLarge, error));
    }
    if fields.len() > PAYLOAD_FIELDS_MAX {
        let error = format!("payload: {} top-level fields, at most {PAYLOAD_FIELDS_MAX}", fields.len());
        return Err(Refusal::new(ItemCode::TooManyFields, error));
    }
    Ok(())
}

/// The refusal of an item that does not have the shape of one, with the place of the first fault.
pub(super) fn invalid_item(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Refusal {
    let path = path.to_string();
    let place = if matches!(path.as_str(), "." | "?") { String::new() } else { format!("{path}: ") };
    Refusal::new(ItemCode::InvalidItem, format!("{place}{}", json::explain(error)))
}
