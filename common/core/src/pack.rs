//! Packing: text compressed into the binary attribute of a row. DynamoDB charges by the kilobyte,
//! so this is what makes the change log, the raw items and the results affordable.

use std::{cell::RefCell, io::Read as _};

use flate2::{Compress, Compression, FlushCompress, Status, read::DeflateDecoder};

use crate::work;

/// Text that does not unpack: not written by [`pack`], or larger than its reader allows.
#[derive(Debug, thiserror::Error)]
#[error("packed text does not unpack: {0}")]
pub struct UnpackError(#[from] std::io::Error);

thread_local! {
    /// Kept, because its quarter of a megabyte is cleared when it is made, which takes as long as
    /// packing some kilobytes.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

/// Compresses `text`. What does not compress grows by less than a thousandth.
pub fn pack(text: &[u8]) -> Vec<u8> {
    work::packed(text.len());
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        let mut packed = Vec::with_capacity(text.len() / 4 + 64);
        loop {
            let taken = usize::try_from(compressor.total_in()).unwrap_or(usize::MAX);
            match compressor.compress_vec(
                text.get(taken..).unwrap_or_default(),
                &mut packed,
                FlushCompress::Finish,
            ) {
                Ok(Status::StreamEnd) => return packed,
                Ok(Status::Ok | Status::BufError) => packed.reserve(packed.capacity()),
                Err(error) => unreachable!("compressing into memory that grows: {error}"),
            }
        }
    })
}

/// Gives back what was packed.
///
/// # Errors
/// [`UnpackError`] for bytes that [`pack`] did not make, and for more than `bytes_max` bytes of
/// text.
pub fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, UnpackError> {
    let mut text = Vec::new();
    DeflateDecoder::new(packed)
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut text)?;
    work::unpacked(text.len());
    if text.len() > bytes_max {
        return Err(std::io::Error::other(format!("more than {bytes_max} bytes")).into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_does_not_depend_on_what_was_packed_before() {
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(300_000).collect();
        for text in [&noise[..], b"{}", b"", &noise[1..], &noise[..70_000], b"{}"] {
            let packed = pack(text);
            assert_eq!(unpack(&packed, text.len()).expect("unpacks"), text);
            let afresh = std::thread::scope(|scope| scope.spawn(|| pack(text)).join());
            assert_eq!(afresh.expect("it packs"), packed);
        }
    }

    #[test]
    fn what_was_packed_unpacks_within_its_bound() {
        let text = b"{\"reading\":42}".repeat(100);
        let packed = pack(&text);
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(&packed, text.len()).expect("unpacks"), text);
        assert!(unpack(&packed, text.len() - 1).is_err());
        assert!(unpack(b"no deflate stream", 100).is_err());
    }
}
