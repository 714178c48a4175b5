//! How much work a request makes: counted in debug builds, which tests are, and where the feature
//! `work` is enabled. In the functions that are shipped the calls below are empty.
//!
//! The counters belong to the thread, because a request is served on one: requests of other threads
//! do not disturb them.

/// What was done on this thread since the last [`take`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes of JSON text that were walked through, once for each time.
    pub parsed: usize,
    /// Bytes that unpacking gave.
    pub unpacked: usize,
    /// Bytes that were packed.
    pub packed: usize,
    /// Bytes of JSON text that were written anew.
    pub written: usize,
    /// Bytes that were hashed.
    pub hashed: usize,
}

#[cfg(any(debug_assertions, feature = "work"))]
std::thread_local! {
    static WORK: std::cell::Cell<Work> = const { std::cell::Cell::new(Work { parsed: 0, unpacked: 0, packed: 0, written: 0, hashed: 0 }) };
}

/// What was done on this thread since the last time; nothing in a release build without the feature
/// `work`.
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
