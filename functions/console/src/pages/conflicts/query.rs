//! The parameters of the list of conflicts in its address: the filter and the order.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use chrono::{DateTime, Utc};
use tidemark_core::model::{channel::Channel, conflict::ConflictFilter, limits::is_name};

use crate::query::parse_time;

/// The names of the parameters, which are those of the API.
const NAMES: [&str; 10] = [
    "status",
    "order",
    "type",
    "channel",
    "user",
    "device_id",
    "code",
    "resource_id",
    "detected_from",
    "detected_until",
];

/// The maximum bytes of an encoded query in a field of a form. API Gateway accepts 10,240 bytes for
/// the address and the headers.
const QUERY_BYTES_MAX: usize = 10_240;

/// The parameters of a list, as the user entered them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pages) struct ListQuery {
    values: Vec<(&'static str, String)>,
}

/// A parameter with a value that is not possible.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pages) struct InvalidParameter {
    pub(super) name: &'static str,
    /// What the value must be.
    pub(super) reason: String,
}

impl ListQuery {
    /// Reads the parameters; `value` returns that of a name.
    pub(super) fn read<'v>(value: impl Fn(&str) -> Option<&'v str>) -> Self {
        let trimmed = |name| Some((name, value(name)?.trim().to_owned()));
        let values = NAMES.into_iter().filter_map(trimmed);
        Self {
            values: values.filter(|(_, value)| !value.is_empty()).collect(),
        }
    }

    /// Reads the parameters of an encoded query. Other parameters are dropped, and so is a query that
    /// is longer than an address.
    pub(in crate::pages) fn parse(query: &str) -> Self {
        if query.len() > QUERY_BYTES_MAX {
            return Self::default();
        }
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            form_urlencoded::parse(query.as_bytes()).collect();
        Self::read(|name| {
            let mut named = pairs.iter().filter(|(given, _)| given == name);
            named.next().map(|(_, value)| &**value)
        })
    }

    /// Returns the value of a parameter, or an empty text.
    pub(super) fn get(&self, name: &str) -> &str {
        let mut named = self.values.iter().filter(|(given, _)| *given == name);
        named.next().map_or("", |(_, value)| value)
    }

    /// Returns the parameters with one more.
    pub(in crate::pages) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.values.retain(|(given, _)| *given != name);
        self.values.push((name, value.to_owned()));
        self
    }

    /// Returns the encoded query.
    pub(in crate::pages) fn encoded(&self) -> String {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        encoder.extend_pairs(&self.values).finish()
    }

    /// Returns the path of a page with these parameters and further ones.
    pub(in crate::pages) fn path(&self, page: &str, further: &[(&str, &str)]) -> String {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        encoder.extend_pairs(&self.values).extend_pairs(further);
        match encoder.finish() {
            query if query.is_empty() => page.to_owned(),
            query => format!("{page}?{query}"),
        }
    }

    /// Returns a time as the field of a form shows it, or an empty text.
    pub(super) fn time(&self, name: &str) -> String {
        let at = parse_time(self.get(name));
        at.map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M").to_string())
    }

    /// Returns the filter that the parameters describe.
    ///
    /// # Errors
    /// Returns the parameters whose values are not possible.
    pub(in crate::pages) fn filter(&self) -> Result<ConflictFilter, Vec<InvalidParameter>> {
        let mut reader = Reader {
            query: self,
            invalid: Vec::new(),
        };
        let filter = ConflictFilter {
            status: reader.keyword("status").unwrap_or_default(),
            order: reader.keyword("order").unwrap_or_default(),
            resource_type: reader.name("type"),
            channel: reader.parsed(
                "channel",
                Channel::parse,
                "must be tenant, user/… or group/…",
            ),
            user: reader.name("user"),
            device_id: reader.name("device_id"),
            code: reader.keyword("code"),
            resource_id: reader.name("resource_id"),
            detected_from: reader.time("detected_from"),
            detected_until: reader.time("detected_until"),
        };
        match reader.invalid {
            invalid if invalid.is_empty() => Ok(filter),
            invalid => Err(invalid),
        }
    }
}

/// Reads parameters, and collects those with impossible values.
struct Reader<'q> {
    query: &'q ListQuery,
    invalid: Vec<InvalidParameter>,
}

impl Reader<'_> {
    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        reason: &str,
    ) -> Option<T> {
        let text = Some(self.query.get(name)).filter(|text| !text.is_empty())?;
        let value = parse(text);
        if value.is_none() {
            let reason = reason.to_owned();
            self.invalid.push(InvalidParameter { name, reason });
        }
        value
    }

    fn keyword<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        self.parsed(name, |text| text.parse().ok(), "is not one of the options")
    }

    fn name(&mut self, name: &'static str) -> Option<String> {
        let parse = |text: &str| is_name(text).then(|| text.to_owned());
        self.parsed(name, parse, "must not be longer than 256 bytes")
    }

    fn time(&mut self, name: &'static str) -> Option<DateTime<Utc>> {
        self.parsed(
            name,
            parse_time,
            "must be a time such as 2026-01-31T09:12, in UTC",
        )
    }
}

#[cfg(test)]
mod tests {
    use tidemark_core::model::{
        conflict::{ListOrder, ListedStatus},
        result::ItemCode,
        time,
    };

    use super::*;

    #[test]
    fn parameters_survive_their_address() {
        let query = ListQuery::parse(
            "status=all&user=%D7%A9+%26&type=meter&cursor=x&code=&detected_from=2026-01-31T09:12",
        );
        let path = "status=all&type=meter&user=%D7%A9+%26&detected_from=2026-01-31T09%3A12";
        assert_eq!(query.encoded(), path);
        assert_eq!(ListQuery::parse(&query.encoded()), query);
        let long = format!("user={}", "x".repeat(QUERY_BYTES_MAX));
        assert_eq!(ListQuery::parse(&long), ListQuery::default());
        assert_eq!(
            query.path("conflicts", &[("cursor", "a b")]),
            format!("conflicts?{path}&cursor=a+b")
        );
        assert_eq!(ListQuery::default().path("conflicts", &[]), "conflicts");
    }

    #[test]
    fn filter_has_every_parameter() {
        let query = ListQuery::parse(
            "status=resolved&order=newest&type=meter&channel=group/north&user=ana&\
             device_id=phone&code=id_taken&resource_id=m-1&detected_from=2026-01-31T09:12&\
             detected_until=2026-01-31T11:00:00%2B01:00",
        );
        let at = |text| time::parse(text);
        let expected = ConflictFilter {
            status: ListedStatus::Resolved,
            order: ListOrder::Newest,
            resource_type: Some("meter".into()),
            channel: Channel::parse("group/north"),
            user: Some("ana".into()),
            device_id: Some("phone".into()),
            code: Some(ItemCode::IdTaken),
            resource_id: Some("m-1".into()),
            detected_from: at("2026-01-31T09:12:00Z"),
            detected_until: at("2026-01-31T10:00:00Z"),
        };
        assert_eq!(query.filter(), Ok(expected));
        assert_eq!(query.time("detected_until"), "2026-01-31T10:00");
        assert_eq!(ListQuery::default().filter(), Ok(ConflictFilter::default()));
    }

    #[test]
    fn impossible_values_are_named() {
        let long = "a".repeat(257);
        let query = ListQuery::parse(&format!(
            "status=closed&channel=x&code=no&detected_from=yesterday&user={long}&type=meter"
        ));
        let invalid = query.filter().expect_err("five values are impossible");
        let names: Vec<_> = invalid.iter().map(|parameter| parameter.name).collect();
        assert_eq!(
            names,
            ["status", "channel", "user", "code", "detected_from"]
        );
    }
}
