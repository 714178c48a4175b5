//! The filter of the list of batches, in the query of the page.

use maud::{Markup, html};
use tidemark_core::{
    model::{
        batch::{BatchFilter, ListedOutcome},
        conflict::ListOrder,
    },
    wire::problem::Problem,
};

use crate::page::Visit;

/// The names of the filter's parameters, in the order of the form.
const NAMES: [&str; 6] = ["outcome", "order", "user", "device_id", "from", "until"];
const OUTCOMES: [(&str, &str); 3] = [
    ("error", "With rejected items"),
    ("conflict", "With conflicts"),
    ("unanswered", "Without results"),
];
const ORDERS: [(&str, &str); 2] = [("newest", "Newest first"), ("oldest", "Oldest first")];

/// The texts of the filter's fields, as the user entered them.
#[derive(Debug, Default)]
pub(super) struct FilterForm([Option<String>; 6]);

/// Returns the filter that the query of a page describes: by default the batches with errors, the
/// newest first.
///
/// # Errors
/// Returns a 400 problem at an invalid parameter, and at a device without its user.
pub(super) fn batch_filter(visit: &Visit<'_>) -> Result<BatchFilter, Problem> {
    let (user, device_id) = (visit.name_of("user")?, visit.name_of("device_id")?);
    if device_id.is_some() && user.is_none() {
        let detail = "names a device of a user: enter the user, too";
        return Err(Problem::malformed("device_id", detail));
    }

    Ok(BatchFilter {
        outcome: visit.keyword("outcome")?.unwrap_or(ListedOutcome::Error),
        order: visit.keyword("order")?.unwrap_or(ListOrder::Newest),
        user,
        device_id,
        from: visit.time_of("from")?,
        until: visit.time_of("until")?,
    })
}

impl FilterForm {
    pub(super) fn of(visit: &Visit<'_>) -> Self {
        Self(NAMES.map(|name| visit.query(name).map(ToOwned::to_owned)))
    }

    #[cfg(test)]
    pub(super) fn with_user(user: &str) -> Self {
        Self(NAMES.map(|name| (name == "user").then(|| user.to_owned())))
    }

    /// Returns the parameters of the query that have this filter.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        NAMES.into_iter().zip(self.0.iter().map(Option::as_deref))
    }

    fn text(&self, name: &str) -> &str {
        let mut named = self.parameters().filter(|(own, _)| *own == name);
        named.next().and_then(|(_, text)| text).unwrap_or_default()
    }
}

/// Returns the form, which opens the list at `action`.
pub(super) fn view(form: &FilterForm, action: &str) -> Markup {
    html! {
        form.filter method="get" action=(action) role="search" aria-label="Filter" {
            (select("outcome", "Batches", form, &OUTCOMES))
            (select("order", "Order", form, &ORDERS))
            (input("user", "User", "text", form))
            (input("device_id", "Device of the user", "text", form))
            (input("from", "From (UTC)", "datetime-local", form))
            (input("until", "Until (UTC)", "datetime-local", form))
            div.buttons {
                button.primary type="submit" { "Filter" }
                a.button href=(action) { "Reset" }
            }
        }
    }
}

fn select(name: &str, label: &str, form: &FilterForm, options: &[(&str, &str)]) -> Markup {
    let selected = form.text(name);
    html! {
        label {
            span { (label) }
            select name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[*value == selected] { (text) }
                }
            }
        }
    }
}

fn input(name: &str, label: &str, kind: &str, form: &FilterForm) -> Markup {
    html! {
        label {
            span { (label) }
            input type=(kind) name=(name) value=(form.text(name)) dir="auto" autocomplete="off";
        }
    }
}
