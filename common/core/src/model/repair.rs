//! The extent and the period of a repair of change logs.

use chrono::{DateTime, Duration, Utc};

use crate::model::{channel::Scope, limits::REPAIR_AGE_SECONDS_MIN, resource::ResourceKey};

/// The version of a resource, for comparison with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceVersion {
    /// The resource that has the version.
    pub key: ResourceKey,
    /// The version in the row of the resource.
    pub server_version: u64,
    /// The time at which that version was made.
    pub changed_at: DateTime<Utc>,
}

/// The period of the changes that are compared: neither so old that the log has expired them, nor
/// so young that they may still be on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The start of the period, inclusive.
    pub from: DateTime<Utc>,
    /// The end of the period, inclusive.
    pub until: DateTime<Utc>,
}

impl Period {
    /// Returns the period of a log that keeps changes for `retention`: all that it must contain.
    /// `since` replaces the start. If it is before the retention, expired changes cannot be
    /// distinguished from missed ones and count as missing: delivering them again is harmless.
    pub fn of_log(since: Option<DateTime<Utc>>, retention: Duration, now: DateTime<Utc>) -> Self {
        let from = since.unwrap_or_else(|| now - retention);
        Self {
            from,
            until: now - Duration::seconds(REPAIR_AGE_SECONDS_MIN),
        }
    }
}

impl Period {
    /// The period of all changes.
    pub const EVER: Self = Self {
        from: DateTime::<Utc>::MIN_UTC,
        until: DateTime::<Utc>::MAX_UTC,
    };
}

/// The rows that a repair covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All rows, or all rows of one tenant.
    All(Option<String>),
    /// The rows of one channel.
    Channel(Scope),
}

/// The position of a repair in the table: the key of the last checked row.
pub type RepairCursor = [String; 2];
