//! The format of packed attributes: a version byte, and compressed text.
//!
//! Rows that were stored before there was a version byte contain only the compressed text, a raw
//! DEFLATE stream. The two lowest bits after the first are the type of its first block, and the
//! type `11` is reserved (RFC 1951, 3.2.3). A first byte with these two bits set is therefore a
//! version byte; its upper five bits are the version.
//!
//! A new version is read in one release and written in the next, if a row of it must not be
//! rejected by functions of the release before while a deployment replaces them.

use tidemark_core::model::pack;

/// The bits of a version byte that no DEFLATE stream has in its first byte.
const MARK: u8 = 0b110;
/// The version that [`pack`] writes.
const VERSION: u8 = 1;

/// The reason why a packed attribute cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A later release wrote the attribute.
    #[error("format version {0} is not supported")]
    Version(u8),
    /// The text cannot be decompressed.
    #[error(transparent)]
    Unpack(#[from] pack::UnpackError),
}

/// Compresses a text and adds the version byte.
pub fn pack(text: &[u8]) -> Vec<u8> {
    let mut packed = vec![VERSION << 3 | MARK];
    packed.extend(pack::pack(text));
    packed
}

/// Returns the text of a packed attribute, with or without a version byte.
///
/// # Errors
/// Returns a [`FormatError`] if the attribute cannot be decompressed, if its text has more than
/// `bytes_max` bytes, or if a later release wrote it.
pub fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, FormatError> {
    match packed.split_first() {
        Some((first, rest)) if first & MARK == MARK => match first >> 3 {
            VERSION => Ok(pack::unpack(rest, bytes_max)?),
            version => Err(FormatError::Version(version)),
        },
        _ => Ok(pack::unpack(packed, bytes_max)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_with_and_without_version() {
        let text = b"{\"reading\":42.0}";

        assert_eq!(pack(text)[0], 0x0E);
        assert_eq!(unpack(&pack(text), 100).expect("version 1"), text);
        assert_eq!(unpack(&pack::pack(text), 100).expect("no version"), text);
    }

    #[test]
    fn no_compressed_text_begins_like_a_version() {
        let mut random = fastrand::Rng::with_seed(1);
        for length in 0..3000 {
            let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            let letters: Vec<u8> = noise.iter().map(|byte| b'a' + byte % 4).collect();
            for text in [noise, letters, vec![b' '; length]] {
                assert_ne!(pack::pack(&text)[0] & MARK, MARK);
            }
        }
    }

    #[test]
    fn unknown_version_is_rejected() {
        let mut packed = pack(b"{}");
        packed[0] = 2 << 3 | MARK;
        let error = unpack(&packed, 100).expect_err("a later version");
        assert_eq!(error.to_string(), "format version 2 is not supported");
    }
}
