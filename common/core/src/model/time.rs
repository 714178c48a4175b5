//! The format of times in requests, responses and stored rows.

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};

/// Formats a time as in all requests and responses: RFC 3339 in UTC, with milliseconds.
pub fn timestamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses a time in RFC 3339, in any time zone. Returns `None` for any other text, and for a time
/// whose year in UTC is not from 1 to 9999: the text of such a time does not sort by time.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (1..=9999).contains(&time.year()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_parsed_in_any_zone() {
        for (text, expected) in [
            ("2026-01-31T09:12:00Z", Some("2026-01-31T09:12:00.000Z")),
            (
                "2026-01-31T09:12:00.1239+02:00",
                Some("2026-01-31T07:12:00.123Z"),
            ),
            ("9999-12-31T23:59:59-01:00", None),
            ("0000-12-31T23:59:59Z", None),
            ("2026-01-31", None),
            ("1769850720", None),
        ] {
            assert_eq!(parse(text).map(timestamp).as_deref(), expected, "{text}");
        }
    }
}
