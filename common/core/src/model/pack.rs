//! Compression of text into binary attributes of rows. DynamoDB bills by the kilobyte, so
//! compression is what makes the change log, the raw items and the results affordable.

use std::{cell::RefCell, io::Read as _};

use flate2::{Compress, Compression, FlushCompress, Status, read::DeflateDecoder};

use crate::model::work;

/// The error for bytes that cannot be decompressed: [`pack`] did not write them, or the text
/// exceeds the caller's bound.
#[derive(Debug, thiserror::Error)]
#[error("compressed text cannot be decompressed: {0}")]
pub struct UnpackError(#[from] std::io::Error);

thread_local! {
    /// Reused, because creating a compressor clears a quarter of a megabyte, which takes as long as
    /// compressing some kilobytes.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

/// Compresses `text`. Incompressible text grows by less than a thousandth.
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

/// Decompresses the output of [`pack`].
///
/// # Errors
/// Returns an [`UnpackError`] for bytes that [`pack`] did not write, and for a text of more than
/// `bytes_max` bytes.
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
    fn packing_is_independent_of_earlier_packing() {
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
            assert_eq!(afresh.expect("no panic"), packed);
        }
    }

    #[test]
    fn packed_text_unpacks_within_bound() {
        let text = b"{\"reading\":42}".repeat(100);
        let packed = pack(&text);
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(&packed, text.len()).expect("unpacks"), text);
        assert!(unpack(&packed, text.len() - 1).is_err());
        assert!(unpack(b"no deflate stream", 100).is_err());
    }
}
