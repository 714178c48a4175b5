//! The deadline of an invocation. Lambda kills a process that exceeds its function's timeout, and
//! the client gets a 502 without a retry hint. Therefore the work ends earlier, and unfinished work
//! results in `Error::Unavailable`: status 503, or stream records reported in `batchItemFailures`.

use std::time::Duration;

use lambda_http::Context as LambdaContext;
use tokio::time::{Instant, timeout_at};

use crate::{clock::Clock, error::Error};

/// The time reserved for the response when the work is stopped: compressing a body of 3 MB, and the
/// log lines.
const RESPONSE_MAX: Duration = Duration::from_secs(3);
/// The reserved part of a remaining time that is too short for [`RESPONSE_MAX`]: one fifth.
const RESPONSE_PART: u32 = 5;

/// The time by which the work of one invocation, or a part of it, must end. That of an invocation is
/// unlimited outside Lambda.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Returns the deadline of the invocation that began now with this context. The context of a
    /// direct call in a test has none.
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

    /// Returns a deadline after this duration from now.
    pub fn after(duration: Duration) -> Self {
        Self(Some(Instant::now() + duration))
    }

    /// Runs the work until the deadline. At the deadline the work is dropped as if the process had
    /// been killed there: a retry completes it.
    ///
    /// # Errors
    /// Returns the errors of the work, and `Error::Unavailable` if the deadline passes.
    pub async fn bound<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let over =
            || Error::unavailable("the deadline of the invocation passed: calls take too long");
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

    /// Returns after how many seconds never-ending work is stopped if `left_ms` milliseconds
    /// remain.
    async fn allowed_s(left_ms: u64) -> f64 {
        let clock = Clock::from_fn(|| {
            DateTime::from_timestamp_millis(1_700_000_000_000).expect("timestamp is in range")
        });
        let mut context = LambdaContext::default();
        context.deadline = 1_700_000_000_000 + left_ms;

        let began = Instant::now();
        let ended = Deadline::of(Some(&context), &clock)
            .bound(pending::<Result<(), Error>>())
            .await;
        assert!(matches!(ended, Err(Error::Unavailable { .. })));

        began.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn work_stops_before_the_lambda_timeout() {
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
    async fn work_without_context_is_unbounded() {
        let work = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(7)
        };

        assert!(matches!(
            Deadline::of(None, &Clock::system()).bound(work).await,
            Ok(7)
        ));

        let direct = Deadline::of(Some(&LambdaContext::default()), &Clock::system());
        assert!(direct.0.is_none(), "a deadline of zero means unlimited");
    }
}
