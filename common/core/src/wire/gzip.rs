//! Gzip, the only content coding of bodies (§8): negotiation with the client, and decompression of
//! request bodies within a memory bound.

use std::io::{Read as _, Write as _};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

use crate::model::work;

/// The name of the coding in headers.
pub const GZIP: &str = "gzip";

/// The reason why a body cannot be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GunzipError {
    /// The body is not gzip, is truncated or corrupt, or is followed by other bytes.
    #[error("the body is not valid gzip: {0}")]
    Damaged(String),
    /// The decompressed body exceeds the caller's bound.
    #[error("the body unpacks to more than {0} bytes")]
    TooLarge(usize),
}

/// Compresses `text` at the fastest level: a response is compressed once, while a device waits and
/// CPU time is billed.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    work::packed(text.len());
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4 + 64), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

/// Decompresses at most `bytes_max` bytes. Never holds more than one byte beyond that, regardless
/// of the size of the compressed data.
///
/// # Errors
/// Returns a [`GunzipError`] unless `packed` consists of complete gzip members up to its last byte,
/// and for a text above the bound.
pub fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, GunzipError> {
    // The full capacity is reserved initially, because a growing vector doubles; untouched pages
    // occupy no memory.
    let mut text = Vec::with_capacity(bytes_max + 1);

    let mut decoder = MultiGzDecoder::new(packed).take(bytes_max as u64 + 1);
    decoder
        .read_to_end(&mut text)
        .map_err(|error| GunzipError::Damaged(error.to_string()))?;

    work::unpacked(text.len());
    if text.len() > bytes_max {
        return Err(GunzipError::TooLarge(bytes_max));
    }
    Ok(text)
}

/// Returns whether a client that sends this `accept-encoding` accepts gzip (RFC 9110 §12.5.3) and
/// does not prefer the identity coding. A client that sends no such header is assumed not to decode
/// gzip.
pub fn is_accepted(accept_encoding: &str) -> bool {
    let weight = |names: &[&str]| {
        let offered = accept_encoding.split(',').filter_map(|offer| {
            let (name, parameters) = offer.split_once(';').unwrap_or((offer, ""));
            let is_named = names
                .iter()
                .any(|wanted| name.trim().eq_ignore_ascii_case(wanted));
            is_named.then(|| self::weight(parameters))
        });
        offered.reduce(f32::max)
    };

    let gzip = weight(&[GZIP, "x-gzip"])
        .or_else(|| weight(&["*"]))
        .unwrap_or(0.0);
    gzip > 0.0 && gzip >= weight(&["identity"]).unwrap_or(0.0)
}

/// Returns the weight of an offer from its parameters; 1 if they contain none, and 0 (not
/// acceptable) if the weight is not a number.
fn weight(parameters: &str) -> f32 {
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then(|| value.trim().parse().unwrap_or(0.0))
    });
    weight.unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(packed: &[u8]) -> bool {
        matches!(gunzip(packed, 1 << 20), Err(GunzipError::Damaged(_)))
    }

    #[test]
    fn compressed_text_decompresses_up_to_bound() {
        let text = br#"{"reading":42}"#.repeat(1000);
        let packed = gzip(&text);

        assert!(packed.len() < text.len() / 10);
        assert_eq!(gunzip(&packed, text.len()), Ok(text.clone()));
        assert_eq!(
            gunzip(&packed, text.len() - 1),
            Err(GunzipError::TooLarge(text.len() - 1))
        );

        assert_eq!(gunzip(&gzip(b""), 0), Ok(Vec::new()));
    }

    #[test]
    fn decompression_bomb_stops_at_bound() {
        let packed = gzip(&vec![b' '; 64 << 20]);
        let text = gunzip(&packed, 1 << 10);
        assert_eq!(text, Err(GunzipError::TooLarge(1 << 10)));
    }

    #[test]
    fn concatenated_members_are_one_text() {
        let packed = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        assert_eq!(gunzip(&packed, 7), Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(gunzip(&packed, 6), Err(GunzipError::TooLarge(6)));
    }

    #[test]
    fn corrupt_or_trailing_bytes_are_rejected() {
        let packed = gzip(br#"{"device_id":"phone","items":[]}"#);
        for cut in 0..packed.len() {
            assert!(damaged(&packed[..cut]), "cut at {cut}");
        }

        for (place, part) in [
            (packed.len() - 1, "size"),
            (packed.len() - 5, "checksum"),
            (0, "magic"),
            (2, "method"),
        ] {
            let mut changed = packed.clone();
            changed[place] ^= 1;
            assert!(damaged(&changed), "another {part}");
        }

        for trailing in [
            b"\0".as_slice(),
            b"x",
            b"\x1f",
            b"{}",
            b"\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert!(
                damaged(&[packed.as_slice(), trailing].concat()),
                "{trailing:?} after the end"
            );
        }

        assert!(damaged(b"{}"));
    }

    #[test]
    fn accept_encoding_header_negotiates_gzip() {
        for accepted in [
            "gzip",
            "GZip",
            "deflate, gzip",
            "gzip;q=0.1",
            "gzip ; Q=1.0",
            "x-gzip",
            "*",
            "br, *;q=0.5",
            "identity;q=0.5, gzip",
        ] {
            assert!(is_accepted(accepted), "{accepted}");
        }

        for rejected in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.000",
            "*, gzip;q=0",
            "*;q=0",
            "gzip;q=0.5, identity",
            "gzip;q=x",
            "gzipped",
        ] {
            assert!(!is_accepted(rejected), "{rejected}");
        }
    }
}
