//! The format of times in requests, responses and stored rows.

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats a time as in all requests and responses: RFC 3339 in UTC, with milliseconds.
pub fn timestamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}
