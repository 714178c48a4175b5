//! Cursors of lists: where the next page continues. A cursor is opaque to clients, versioned, and
//! bound to the query that returned it, so that a different list rejects it. Like a pull token it
//! grants no access; its checksum detects corruption, not forgery.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::model::{json, limits::CURSOR_BYTES_MAX};

/// The prefix of every cursor of this version.
const VERSION: &str = "cu1_";
const CHECKSUM_BYTES: usize = 6;

/// The error for a text that is not a cursor of the list that it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list or is corrupt: start without a cursor")]
pub struct InvalidCursor;

/// Returns the cursor that continues after the entry that `after` identifies, in the list of
/// `query` (its name, order and filters).
///
/// # Example
///
/// ```
/// use tidemark_core::wire::cursor::{InvalidCursor, decode, encode};
///
/// let cursor = encode("conflicts?status=open", ["2026-01-01", "conf-1"]);
/// let after = ["2026-01-01", "conf-1"].map(String::from);
/// assert_eq!(decode("conflicts?status=open", &cursor), Ok(after));
///
/// // Another list rejects the cursor.
/// assert_eq!(decode::<2>("conflicts?status=resolved", &cursor), Err(InvalidCursor));
/// ```
pub fn encode<const N: usize>(query: &str, after: [&str; N]) -> String {
    let body = serde_json::to_vec(&after.as_slice()).unwrap_or_default(); // a list of texts always serializes
    let mut bytes = checksum(query, &body).to_vec();
    bytes.extend(body);
    format!("{VERSION}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Decodes a cursor of `query`.
///
/// # Errors
/// Returns [`InvalidCursor`] for any text that [`encode`] did not return for the same query and `N`
/// parts.
///
/// See the example of [`encode`].
pub fn decode<const N: usize>(query: &str, text: &str) -> Result<[String; N], InvalidCursor> {
    let encoded = text
        .strip_prefix(VERSION)
        .filter(|_| text.len() <= CURSOR_BYTES_MAX)
        .ok_or(InvalidCursor)?;

    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| InvalidCursor)?;
    let (sum, body) = bytes
        .split_at_checked(CHECKSUM_BYTES)
        .ok_or(InvalidCursor)?;
    if sum != checksum(query, body) {
        return Err(InvalidCursor);
    }

    let after: Vec<String> = serde_json::from_slice(body).map_err(|_| InvalidCursor)?;
    // A row has no empty key part, and none above the bound of a sort key.
    if after
        .iter()
        .any(|part| part.is_empty() || part.len() > crate::model::limits::SORT_KEY_BYTES_MAX)
    {
        return Err(InvalidCursor);
    }
    after.try_into().map_err(|_| InvalidCursor)
}

fn checksum(query: &str, body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = json::digest([VERSION.as_bytes(), query.as_bytes(), body]);
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_decodes_only_for_its_query() {
        let cursor = encode(
            "conflicts?status=open",
            ["2026-01-01T00:00:00.000Z", "conf-1\u{fc}"],
        );

        assert_eq!(
            decode("conflicts?status=open", &cursor),
            Ok([
                "2026-01-01T00:00:00.000Z".to_owned(),
                "conf-1\u{fc}".to_owned()
            ])
        );
        assert_eq!(
            decode::<2>("conflicts?status=resolved", &cursor),
            Err(InvalidCursor)
        );
        assert_eq!(
            decode::<1>("conflicts?status=open", &cursor),
            Err(InvalidCursor)
        );
    }

    #[test]
    fn corrupt_cursors_are_rejected() {
        let cursor = encode("q", ["a"]);
        for at in 0..cursor.len() {
            let mut damaged = cursor.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                decode::<1>("q", &String::from_utf8(damaged).expect("text")),
                Err(InvalidCursor),
                "{at}"
            );
        }

        let long = encode("q", [&"x".repeat(2000)]);
        for text in [
            "",
            "cu1_",
            "tm1_AAAA",
            &cursor[..cursor.len() - 1],
            &format!("{cursor}A"),
            &long,
            &encode("q", [""]),
        ] {
            assert_eq!(decode::<1>("q", text), Err(InvalidCursor), "{text}");
        }
    }
}
