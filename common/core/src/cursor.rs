//! Cursors of lists: where the next page goes on. Opaque to clients, versioned, and bound to the
//! query they came from, so that a cursor of one list is refused by another. Like a pull token a
//! cursor grants nothing; its checksum tells damage, not forgery.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{json, limits::CURSOR_BYTES_MAX};

/// What every cursor of this version begins with.
const VERSION: &str = "cu1_";
const CHECKSUM_BYTES: usize = 6;

/// A text that is no cursor of the list it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is none of this list, or was damaged: begin without one")]
pub struct InvalidCursor;

/// The cursor behind the entry that `after` names, in the list that `query` asks for (its name,
/// order and filters).
pub fn encode<const N: usize>(query: &str, after: [&str; N]) -> String {
    let body = serde_json::to_vec(&after.as_slice()).unwrap_or_default(); // a list of texts always serialises
    let mut bytes = checksum(query, &body).to_vec();
    bytes.extend(body);
    format!("{VERSION}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a cursor of `query` back.
///
/// # Errors
/// [`InvalidCursor`] for anything [`encode`] did not make of the same query and of `N` parts.
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
    // An empty part, or one beyond a key's bytes, is none of a row.
    if after
        .iter()
        .any(|part| part.is_empty() || part.len() > crate::limits::SORT_KEY_BYTES_MAX)
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
    fn a_cursor_reads_back_in_its_own_list_only() {
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
    fn damaged_cursors_are_refused() {
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
