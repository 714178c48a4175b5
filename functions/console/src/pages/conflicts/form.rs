//! The form that filters the list of conflicts.

use maud::{Markup, html};
use tidemark_core::model::{
    catalog::Catalog,
    conflict::{ListOrder, ListedStatus},
    keyword::Keyword,
};

use super::{
    query::{InvalidParameter, ListQuery},
    words,
};

/// The fields for text, with their labels.
const TEXTS: [(&str, &str); 4] = [
    ("channel", "Channel"),
    ("user", "User"),
    ("device_id", "Device"),
    ("resource_id", "Resource id"),
];
/// The fields for times, with their labels.
const TIMES: [(&str, &str); 2] = [
    ("detected_from", "Detected from (UTC)"),
    ("detected_until", "Detected before (UTC)"),
];

/// An option of a field: its value and its text.
type FieldOption = (String, String);

/// Returns the form, which opens the list at `action`.
pub(super) fn filter_form(
    action: &str,
    query: &ListQuery,
    catalog: &Catalog,
    invalid: &[InvalidParameter],
) -> Markup {
    html! {
        form.filter method="get" action=(action) role="search" aria-label="Filter" {
            (select("status", "Status", query, None, statuses()))
            (select("type", "Type", query, Some("All types"), types(catalog)))
            (select("code", "Reason", query, Some("All reasons"), codes()))
            (select("order", "Order", query, None, orders()))
            @for (name, label) in TEXTS {
                (input(name, label, "text", query.get(name), invalid))
            }
            @for (name, label) in TIMES {
                (input(name, label, "datetime-local", &query.time(name), invalid))
            }
            div.buttons {
                button.primary type="submit" { "Filter" }
                a.button href=(action) { "Reset" }
            }
        }
    }
}

/// Returns the list of the parameters with impossible values, with links to their fields.
pub(super) fn errors(invalid: &[InvalidParameter]) -> Markup {
    html! {
        div.message.error role="alert" {
            p { "The list cannot be filtered in this way:" }
            ul {
                @for parameter in invalid {
                    li {
                        a href={ "#filter-" (parameter.name) } { (parameter.name) }
                        " " (parameter.reason)
                    }
                }
            }
        }
    }
}

/// Returns a field with options. A value that is not among them is added, so that it is visible.
fn select(
    name: &str,
    label: &str,
    query: &ListQuery,
    none: Option<&str>,
    mut options: Vec<FieldOption>,
) -> Markup {
    let selected = query.get(name);
    if !selected.is_empty() && !options.iter().any(|(value, _)| value == selected) {
        options.push((selected.to_owned(), selected.to_owned()));
    }
    html! {
        label {
            span { (label) }
            select id={ "filter-" (name) } name=(name) {
                @if let Some(none) = none { option value="" { (none) } }
                @for (value, text) in &options {
                    option value=(value) selected[value == selected] { (text) }
                }
            }
        }
    }
}

fn input(name: &str, label: &str, kind: &str, value: &str, invalid: &[InvalidParameter]) -> Markup {
    let error = invalid.iter().find(|parameter| parameter.name == name);
    html! {
        label {
            span { (label) }
            input id={ "filter-" (name) } type=(kind) name=(name) value=(value) dir="auto"
                autocomplete="off" aria-invalid=[error.map(|_| "true")];
            @if let Some(error) = error { span.error { (error.reason) } }
        }
    }
}

fn statuses() -> Vec<FieldOption> {
    options(ListedStatus::ALL, words::listed)
}

fn orders() -> Vec<FieldOption> {
    options(ListOrder::ALL, words::order)
}

fn codes() -> Vec<FieldOption> {
    options(&words::CODES, words::code)
}

fn options<T: Keyword>(values: &[T], text: impl Fn(T) -> &'static str) -> Vec<FieldOption> {
    let option = |value: &T| (value.to_string(), text(*value).to_owned());
    values.iter().map(option).collect()
}

fn types(catalog: &Catalog) -> Vec<FieldOption> {
    let names = catalog.types().map(|(name, _)| name.to_owned());
    names.map(|name| (name.clone(), name)).collect()
}
