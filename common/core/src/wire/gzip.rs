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
///
/// See the example of [`gunzip`].
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
///
/// # Example
///
/// ```
/// use tidemark_core::wire::gzip::{GunzipError, gunzip, gzip};
///
/// let text = vec![b'x'; 100_000];
/// let packed = gzip(&text);
/// assert!(packed.len() < 1000);
/// assert_eq!(gunzip(&packed, 100_000), Ok(text));
///
/// assert_eq!(gunzip(&packed, 99_999), Err(GunzipError::TooLarge(99_999)));
/// assert!(matches!(gunzip(b"plain", 100), Err(GunzipError::Damaged(_))));
/// ```
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
///
/// # Example
///
/// ```
/// use tidemark_core::wire::gzip::is_accepted;
///
/// assert!(is_accepted("gzip, br") && is_accepted("*"));
/// assert!(!is_accepted("") && !is_accepted("gzip;q=0"));
/// assert!(!is_accepted("gzip;q=0.5, identity"), "the client prefers the identity coding");
/// ```
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
mod tests;
