//! Random numbers that spread load over time: backoff before retries, and the seconds in
//! `Retry-After`. The source is injected, so that tests control it. The numbers are not for
//! secrets.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

/// The upper bound of the backoff before the first retry of a throttled call. It doubles with each
/// retry.
const THROTTLED_FIRST: Duration = Duration::from_millis(60);
/// The upper bound of any backoff of a throttled call.
const THROTTLED_MAX: Duration = Duration::from_secs(2);
/// The upper bound of the backoff before the first retry of a write whose condition failed because
/// of a concurrent update. It doubles with each retry.
const RACED_FIRST: Duration = Duration::from_millis(20);
/// The upper bound of any backoff after a concurrent update.
const RACED_MAX: Duration = Duration::from_millis(640);
/// The range of seconds that a client is asked to wait after a 503.
const RETRY_AFTER_S: RangeInclusive<u64> = 2..=10;

/// A source of random numbers.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> u64 + Send + Sync>);

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// Returns the generator of the thread, which the SDK's retries also use. The simulation seeds
    /// it.
    pub fn system() -> Self {
        Self(Arc::new(|| fastrand::u64(..)))
    }

    /// Returns a source that calls `draw`, which may return any number.
    pub fn from_fn(draw: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// Returns the backoff before the `attempt`th retry of a throttled call that the SDK does not
    /// retry itself. Uses full jitter, so that callers that were throttled together do not retry at
    /// the same time. Six waits take 1.9 s on average and 3.9 s at most.
    pub fn throttled(&self, attempt: u32) -> Duration {
        self.jitter(THROTTLED_FIRST, THROTTLED_MAX, attempt)
    }

    /// Returns the backoff before the `attempt`th retry of a write whose condition failed because
    /// of a concurrent update.
    pub fn concurrent_update_backoff(&self, attempt: u32) -> Duration {
        self.jitter(RACED_FIRST, RACED_MAX, attempt)
    }

    /// Returns the whole seconds of a `Retry-After` header, 2 to 10.
    pub fn retry_after_s(&self) -> u64 {
        RETRY_AFTER_S.start() + self.below(RETRY_AFTER_S.end() - RETRY_AFTER_S.start() + 1)
    }

    fn jitter(&self, first: Duration, max: Duration, attempt: u32) -> Duration {
        let doubled = first
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
            .min(max);
        Duration::from_micros(
            self.below(
                u64::try_from(doubled.as_micros())
                    .unwrap_or(u64::MAX)
                    .saturating_add(1),
            ),
        )
    }

    /// Returns a number below `bound`. The modulo bias is negligible.
    fn below(&self, bound: u64) -> u64 {
        (self.0)() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn throttled_waits_are_jittered_and_bounded() {
        let longest = Random::from_fn(move || 0).throttled(1);
        assert_eq!(longest, Duration::ZERO, "full jitter starts at zero");

        let caps = [60, 120, 240, 480, 960, 1920, 2000, 2000].map(Duration::from_millis);
        let total: Duration = caps.iter().take(6).sum();
        assert!(
            (total / 2).abs_diff(Duration::from_secs(2)) < Duration::from_millis(150),
            "{total:?}"
        );

        for (attempt, cap) in (1..).zip(caps) {
            let micros = u64::try_from(cap.as_micros()).expect("fits in u64");
            assert_eq!(
                Random::from_fn(move || micros).throttled(attempt),
                cap,
                "attempt {attempt}"
            );
            assert_eq!(
                Random::from_fn(move || micros + 1).throttled(attempt),
                Duration::ZERO,
                "attempt {attempt}"
            );
        }

        assert!(Random::system().throttled(u32::MAX) <= THROTTLED_MAX);
        let drawn: BTreeSet<Duration> = (0..100).map(|_| Random::system().throttled(4)).collect();
        assert!(drawn.len() > 50, "{drawn:?}");
    }

    #[test]
    fn retry_after_covers_two_to_ten_seconds() {
        let drawn: BTreeSet<u64> = (0..100)
            .map(|number| Random::from_fn(move || number).retry_after_s())
            .collect();
        assert_eq!(drawn, (2..=10).collect());
        let drawn: BTreeSet<u64> = (0..1000)
            .map(|_| Random::system().retry_after_s())
            .collect();
        assert_eq!(drawn, (2..=10).collect());
    }
}
