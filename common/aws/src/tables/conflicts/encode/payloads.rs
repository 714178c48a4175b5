//! Adds the payloads that a conflict's own row contains.

use crate::tables::format::pack;
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use tidemark_core::model::conflict::{ConflictEdit, ConflictWrite};

use super::super::payloads::{SeparatePayloads, StoredPayload};
use super::{number, set};
use crate::{error::Error, tables::Row};

/// Maximum size in bytes of a row that costs one write unit, with a margin for the estimate's
/// error.
const UNIT_BYTES: usize = 1000;

/// Returns the payload of the first edit if it is stored in the row itself. Otherwise adds the name
/// of the row with it.
pub(super) fn place_client_payload<'a>(
    row: &mut Row,
    first: &'a ConflictEdit,
    apart: &SeparatePayloads<'_>,
) -> Option<&'a str> {
    let Some(part) = apart.name_of(first.id) else {
        return Some(first.payload.get());
    };
    set(row, "client_part", AttributeValue::S(part));
    set(row, "client_bytes", number(first.payload.get().len()));
    None
}

/// Returns the payload of the server if it is stored in the row itself. Otherwise adds the number
/// of the version with it.
pub(super) fn place_server_payload<'a>(row: &mut Row, write: &'a ConflictWrite) -> Option<&'a str> {
    match StoredPayload::of(write) {
        StoredPayload::Nothing => None,
        StoredPayload::Inline(text) => Some(text),
        StoredPayload::Kept { number: at, bytes } => {
            set(row, "server_at", number(at));
            set(row, "server_bytes", number(bytes));
            None
        }
    }
}

/// Adds the payloads that are stored in the row itself, as text, or packed if that keeps the row
/// within one write unit.
pub(super) fn put_payloads(
    row: &mut Row,
    client: Option<&str>,
    server: Option<&str>,
) -> Result<(), Error> {
    let texts = [("client_payload", client), ("server_payload", server)];
    let plain: usize = texts
        .iter()
        .filter_map(|(name, text)| Some(name.len() + text.as_ref()?.len()))
        .sum();

    if row_bytes(row) + plain > UNIT_BYTES {
        let pair = serde_json::to_vec(&texts.map(|(_, text)| text))
            .map_err(|error| Error::unencoded("payloads", error))?;
        let packed = pack(&pair);
        if packed.len() < plain {
            row.insert("packed".to_owned(), AttributeValue::B(Blob::new(packed)));
            return Ok(());
        }
    }

    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), AttributeValue::S(text?.to_owned()))));
    row.extend(texts);
    Ok(())
}

/// Estimates the bytes by which DynamoDB charges a row.
fn row_bytes(row: &Row) -> usize {
    row.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|it| 1 + value_bytes(it)).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map
                .iter()
                .map(|(name, it)| 1 + name.len() + value_bytes(it))
                .sum::<usize>()
        }
        _ => 1,
    }
}
