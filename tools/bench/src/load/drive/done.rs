//! The latencies and the number of the requests that a run completed.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Maximum latency in microseconds: ten minutes, recorded with three digits.
const LATENCY_MAX_US: u64 = 600_000_000;

/// The result of a loop.
#[derive(Debug, Clone)]
pub struct Done {
    /// Number of items, or polls, that were processed as expected.
    pub items: usize,
    /// Time from the first request to the last response.
    pub took: Duration,
    /// Latencies of the requests in microseconds.
    pub latency_us: Histogram<u64>,
}

impl Default for Done {
    fn default() -> Self {
        Self {
            items: 0,
            took: Duration::ZERO,
            latency_us: latencies(),
        }
    }
}

impl Done {
    /// Adds the result of another loop of the same kind.
    pub fn add(&mut self, other: &Self) {
        self.items += other.items;
        self.took += other.took;
        self.latency_us
            .add(&other.latency_us)
            .expect("the same bounds");
    }

    /// Returns the throughput in items per second.
    pub fn items_per_s(&self) -> f64 {
        self.items as f64 / self.took.as_secs_f64()
    }

    /// Returns the latency in milliseconds at this quantile.
    pub fn ms_at(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Creates an empty histogram of latencies.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("fixed bounds")
}

/// Records a latency in the histogram.
pub fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US));
}
