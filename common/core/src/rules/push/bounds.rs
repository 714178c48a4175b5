//! The bounds of a payload (§2).

use serde_json::value::RawValue;

use crate::model::{
    json::Fields,
    limits::{PAYLOAD_BYTES_MAX, PAYLOAD_FIELDS_MAX},
    result::{ItemCode, Rejection},
};

/// Checks a payload, as sent or as it would be stored, against the bounds of §2.
pub(crate) fn check_size(payload: &RawValue, fields: &Fields) -> Result<(), Rejection> {
    check_bounds(payload.get().len(), fields.len())
}

/// Checks the size in bytes and the number of top-level fields of a payload against the bounds of
/// §2.
pub(super) fn check_bounds(bytes: usize, fields: usize) -> Result<(), Rejection> {
    if bytes > PAYLOAD_BYTES_MAX {
        let error = format!("payload: {bytes} bytes, at most {PAYLOAD_BYTES_MAX} are stored");
        return Err(Rejection::new(ItemCode::PayloadTooLarge, error));
    }
    if fields > PAYLOAD_FIELDS_MAX {
        let error = format!("payload: {fields} top-level fields, at most {PAYLOAD_FIELDS_MAX}");
        return Err(Rejection::new(ItemCode::TooManyFields, error));
    }
    Ok(())
}
