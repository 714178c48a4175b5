//! Parameters of the queries of lists. An empty parameter is a missing one: forms send all fields.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, Utc};
use tidemark_core::{
    model::{limits::LIST_DEFAULT, time},
    wire::{problem::Problem, query},
};

use crate::page::Visit;

impl Visit<'_> {
    /// Returns the number of entries of a page of a list, from 1 to [`LIST_DEFAULT`]. Pages are
    /// larger than the responses of the API, so they have fewer entries.
    ///
    /// # Errors
    /// Returns a 400 problem for any other text.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let Some(limit) = self.query("limit") else {
            return Ok(LIST_DEFAULT);
        };
        let limit = limit.parse().ok();
        let limit = limit.filter(|limit| (1..=LIST_DEFAULT).contains(limit));
        let detail = format!("must be a number from 1 to {LIST_DEFAULT}");
        limit.ok_or_else(|| Problem::malformed("limit", detail))
    }

    /// Returns a parameter that is a name: text of at most 256 bytes.
    ///
    /// # Errors
    /// Returns a 400 problem if the text is longer.
    pub(crate) fn name_of(&self, parameter: &str) -> Result<Option<String>, Problem> {
        let name = query::name(parameter, self.query(parameter))?;
        Ok(name.map(ToOwned::to_owned))
    }

    /// Returns a parameter that has one of the texts of a keyword.
    ///
    /// # Errors
    /// Returns a 400 problem, which names the texts, for any other text.
    pub(crate) fn keyword<T: FromStr<Err: Display>>(
        &self,
        parameter: &str,
    ) -> Result<Option<T>, Problem> {
        query::keyword(parameter, self.query(parameter))
    }

    /// Returns a parameter that is a time, as browsers send it, in UTC: without a time zone.
    ///
    /// # Errors
    /// Returns a 400 problem for any other text, and for a year that is not from 1 to 9999.
    pub(crate) fn time_of(&self, parameter: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        let detail = "must be a time such as 2026-01-31T09:12";
        query::parsed(parameter, self.query(parameter), parse_time, detail)
    }
}

/// Parses a time with or without seconds and a time zone.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let completed = ["", "Z", ":00Z"].map(|end| format!("{text}{end}"));
    completed.iter().find_map(|text| time::parse(text))
}

#[cfg(test)]
mod tests {
    use tidemark_core::model::time::timestamp;

    use super::*;

    #[test]
    fn times_of_forms_are_in_utc() {
        for (text, expected) in [
            ("2026-01-31T09:12", Some("2026-01-31T09:12:00.000Z")),
            ("2026-01-31T09:12:05", Some("2026-01-31T09:12:05.000Z")),
            ("2026-01-31T09:12:05.123Z", Some("2026-01-31T09:12:05.123Z")),
            (
                "2026-01-31T09:12:05+02:00",
                Some("2026-01-31T07:12:05.000Z"),
            ),
            ("2026-01-31", None),
            ("0000-01-31T09:12", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(text).map(timestamp).as_deref(), expected);
        }
    }
}
