//! The only file that reads the system time and generates random ids. All other code receives a
//! [`Clock`], so that tests control time.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::{Timestamp, Uuid};

/// A source of the current time, with a resolution of one millisecond.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// Returns the clock of the operating system.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the file that owns the clock"
    )]
    pub fn system() -> Self {
        Self(Arc::new(Utc::now))
    }

    /// Returns a clock that calls `now`, for tests and the simulation.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the current time, truncated to milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        let now = (self.0)();
        DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
    }

    /// Generates a unique id that sorts by its time of creation (UUID v7).
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the file that owns random ids"
    )]
    pub fn unique_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();

        Uuid::new_v7(Timestamp::from_unix(
            uuid::NoContext,
            seconds,
            now.timestamp_subsec_nanos(),
        ))
    }
}
