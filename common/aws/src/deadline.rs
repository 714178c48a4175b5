//! The end of an invocation's time. Lambda ends a process that takes longer than its function's
//! time-out, and the client gets a 502 without a hint. So the work ends earlier, and what did not
//! end is answered as an outage: 503, or the records of a stream given back.

use std::time::Duration;

use lambda_http::Context as LambdaContext;
use tokio::time::{Instant, timeout_at};

use crate::{clock::Clock, failure::Failure};

/// The time that is left to answer when the work is stopped: a compressed answer of 3 MB, and the
/// log lines.
const RESPONSE_MAX: Duration = Duration::from_secs(3);
/// Of a shorter time-out, the part that is left to answer.
const RESPONSE_PART: u32 = 5;

/// The moment by which the work of one invocation must have ended; none outside of Lambda.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline of the invocation that began now with this context. A context of a direct call
    /// in a test has none.
    pub fn of(context: Option<&LambdaContext>, clock: &Clock) -> Self {
        let ends_at = context
            .map(|context| context.deadline)
            .filter(|ends_at| *ends_at > 0);
        Self(ends_at.map(|ends_at| {
            let left = ends_at.saturating_sub(clock.now().timestamp_millis().unsigned_abs());
            let left = Duration::from_millis(left);
            Instant::now() + (left - RESPONSE_MAX.min(left / RESPONSE_PART))
        }))
    }

    /// Does the work unless the time is over before it has ended. It is dropped then, as if the
    /// process had ended there: a retry finishes what it began.
    ///
    /// # Errors
    /// Those of the work; an outage when the time is over.
    pub async fn bound<T>(
        self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let over =
            || Failure::Outage("the time of the invocation is over: calls take too long".into());
        let Some(ends_at) = self.0 else {
            return work.await;
        };
        if Instant::now() >= ends_at {
            return Err(over());
        }
        timeout_at(ends_at, work)
            .await
            .unwrap_or_else(|_| Err(over()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use chrono::DateTime;

    use super::*;

    /// Seconds that work may take which never ends, with a context that has so many seconds left.
    async fn allowed_s(left_ms: u64) -> f64 {
        let clock = Clock::from_fn(|| {
            DateTime::from_timestamp_millis(1_700_000_000_000).expect("a moment")
        });
        let mut context = LambdaContext::default();
        context.deadline = 1_700_000_000_000 + left_ms;
        let began = Instant::now();
        let ended = Deadline::of(Some(&context), &clock)
            .bound(pending::<Result<(), Failure>>())
            .await;
        assert!(matches!(ended, Err(Failure::Outage(_))));
        began.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_before_the_time_is_over() {
        for (left_ms, expected) in [
            (20_000, 17.0),
            (60_000, 57.0),
            (3_000, 2.4),
            (15_000, 12.0),
            (0, 0.0),
        ] {
            let allowed = allowed_s(left_ms).await;
            assert!(
                (allowed - expected).abs() < 0.01,
                "{left_ms} ms left, {allowed} s allowed"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_a_context_is_not_bounded() {
        let work = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(7)
        };
        assert!(matches!(
            Deadline::of(None, &Clock::system()).bound(work).await,
            Ok(7)
        ));
        let direct = Deadline::of(Some(&LambdaContext::default()), &Clock::system());
        assert!(direct.0.is_none(), "a deadline of zero is none");
    }
}
