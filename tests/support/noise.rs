//! Noise: text that hardly compresses, the same in every run.

/// Returns `length` random characters of ASCII that need no escapes in JSON. The same seed returns
/// the same text.
pub fn noise(length: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut character = || match random.u8(b'#'..b'~') {
        b'\\' => '!',
        byte => char::from(byte),
    };
    (0..length).map(|_| character()).collect()
}
