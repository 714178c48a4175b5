//! Elements that several pages share: values that may be missing, durations, and links to further
//! pages of a list.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::text::{name, time};

/// Returns a dash for a value that does not exist.
pub(crate) fn none() -> Markup {
    html! { span.none { "–" } }
}

/// Returns a name, or a dash if it is empty or does not exist.
pub(crate) fn optional_name(text: Option<&str>) -> Markup {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => name(text),
        None => none(),
    }
}

/// Returns a time, or a dash if there is none.
pub(crate) fn optional_time(at: Option<DateTime<Utc>>) -> Markup {
    at.map_or_else(none, time)
}

/// Returns a number of seconds in the two largest units that it has.
pub(crate) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h")];
    let units = units
        .into_iter()
        .chain([(seconds / 60 % 60, "min"), (seconds % 60, "s")]);

    let parts: Vec<String> = units
        .skip_while(|(number, _)| *number == 0)
        .take(2)
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    match parts.is_empty() {
        true => "0 s".to_owned(),
        false => parts.join(" "),
    }
}

/// Returns a path with a query of the parameters that have a value.
pub(crate) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Returns a text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let escaped: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    // A plus sign is not a space in a path.
    escaped.replace('+', "%20")
}

/// Returns the links below a list: to its first page, if another one is shown, and to the next one,
/// if there is one.
pub(crate) fn pager(first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.pages aria-label="Pages of the list" {
                @if let Some(first) = first { a.button href=(first) { "First page" } }
                @if let Some(next) = next { a.button href=(next) rel="next" { "Next page" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_names_are_dashes() {
        assert_eq!(optional_name(Some("")).into_string(), none().into_string());
        let shown = optional_name(Some("<b>")).into_string();
        assert_eq!(shown, "<bdi>&lt;b&gt;</bdi>");
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_605, "1 h"),
            (3_661, "1 h 1 min"),
            (200_000, "2 d 7 h"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn queries_and_segments_are_encoded() {
        let parameters = [("a", Some("x&y=z")), ("b", None), ("c", Some(""))];
        assert_eq!(with_query("list", &parameters), "list?a=x%26y%3Dz");
        assert_eq!(with_query("list", &[]), "list");
        assert_eq!(segment("a b/c?d+e"), "a%20b%2Fc%3Fd%2Be");
    }
}
