//! Work counters for a request, in debug builds (which include tests) and with the feature `work`.
//! In release builds without the feature the calls below are empty.
//!
//! The counters are thread-local, because one thread serves a request: requests on other threads do
//! not affect them.

/// The work done on this thread since the last [`take`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes of JSON text that were parsed, counted once for each pass.
    pub parsed: usize,
    /// Bytes of text that resulted from decompression.
    pub unpacked: usize,
    /// Bytes of text that were compressed.
    pub packed: usize,
    /// Bytes of JSON text that were written.
    pub written: usize,
    /// Bytes of data that were hashed.
    pub hashed: usize,
}

#[cfg(any(debug_assertions, feature = "work"))]
std::thread_local! {
    static WORK: std::cell::Cell<Work> = const { std::cell::Cell::new(Work { parsed: 0, unpacked: 0, packed: 0, written: 0, hashed: 0 }) };
}

/// Returns the work done on this thread since the last call, and resets the counters; all zero in a
/// release build without the feature `work`.
pub fn take() -> Work {
    #[cfg(any(debug_assertions, feature = "work"))]
    return WORK.take();
    #[cfg(not(any(debug_assertions, feature = "work")))]
    Work::default()
}

macro_rules! counters {
    ($($name:ident),*) => {
        $(
            #[inline]
            pub(crate) fn $name(bytes: usize) {
                #[cfg(any(debug_assertions, feature = "work"))]
                WORK.with(|work| work.set(Work { $name: work.get().$name + bytes, ..work.get() }));
                #[cfg(not(any(debug_assertions, feature = "work")))]
                let _ = bytes;
            }
        )*
    };
}

counters!(parsed, unpacked, packed, written, hashed);
