//! Gzip, the one content coding of bodies (§8): whether a client takes it, and unpacking what a
//! client packed without ever holding more than a bound.

use std::io::{Read as _, Write as _};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

use crate::work;

/// The coding's name in headers.
pub const GZIP: &str = "gzip";

/// Why a body does not unpack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GunzipError {
    /// Not gzip, cut short, damaged on its way, or with something behind its end.
    #[error("the body is not valid gzip: {0}")]
    Damaged(String),
    /// It unpacks to more than the reader allows.
    #[error("the body unpacks to more than {0} bytes")]
    TooLarge(usize),
}

/// Compresses `text`, quickly rather than hard: an answer is packed once, while a device waits and
/// CPU is paid for.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    work::packed(text.len());
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4 + 64), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

/// Gives back what was compressed, up to `bytes_max` bytes of it. Never holds more than one byte
/// beyond that, whatever the packed bytes promise.
///
/// # Errors
/// [`GunzipError`] for anything but whole gzip members up to the last byte, and for text over the
/// bound.
pub fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, GunzipError> {
    // Reserved whole, because a vector that grows doubles; only the pages that are written to cost
    // memory.
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

/// Whether a client that sends this `accept-encoding` takes gzip (RFC 9110 §12.5.3), and does not
/// rather want the answer as it is. A client that sends none is not known to read it.
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

/// The weight that an offer's parameters give it, 1 where they give none. One that is no number is
/// a refusal.
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
    fn what_was_compressed_unpacks_up_to_its_bound() {
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
    fn a_bomb_is_unpacked_no_further_than_the_bound() {
        let packed = gzip(&vec![b' '; 64 << 20]);
        let text = gunzip(&packed, 1 << 10);
        assert_eq!(text, Err(GunzipError::TooLarge(1 << 10)));
    }

    #[test]
    fn members_one_behind_the_other_are_one_text() {
        let packed = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        assert_eq!(gunzip(&packed, 7), Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(gunzip(&packed, 6), Err(GunzipError::TooLarge(6)));
    }

    #[test]
    fn what_is_cut_changed_or_followed_by_anything_is_damaged() {
        let packed = gzip(br#"{"device_id":"phone","items":[]}"#);
        for cut in 0..packed.len() {
            assert!(damaged(&packed[..cut]), "cut at {cut}");
        }
        for (place, behind) in [
            (packed.len() - 1, "size"),
            (packed.len() - 5, "checksum"),
            (0, "magic"),
            (2, "method"),
        ] {
            let mut changed = packed.clone();
            changed[place] ^= 1;
            assert!(damaged(&changed), "another {behind}");
        }
        for behind in [
            b"\0".as_slice(),
            b"x",
            b"\x1f",
            b"{}",
            b"\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert!(
                damaged(&[packed.as_slice(), behind].concat()),
                "{behind:?} behind it"
            );
        }
        assert!(damaged(b"{}"));
    }

    #[test]
    fn gzip_is_accepted_where_the_header_says_so() {
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
