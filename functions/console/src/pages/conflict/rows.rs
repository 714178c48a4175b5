//! The rows of the merge table: a field with its values, of which one is picked.

use maud::{Markup, html};
use tidemark_core::rules::comparison::{FieldLabel, FieldRow, FieldSide, FieldValue};

use super::{
    MergeView,
    cell::value,
    entries::{RowChoice, digest, pick_field, seen_field, value_field},
};
use crate::text::{self, SHOWN_CHARS_MAX};

/// The maximum number of characters of all values that the table shows.
const VALUES_CHARS_MAX: usize = 200_000;
/// The maximum number of characters of the name of a field in the first column.
const NAME_CHARS_MAX: usize = 200;
/// The maximum number of characters of a path in the labels of a row.
const LABEL_CHARS_MAX: usize = 60;

/// Returns the table of some rows, each with its number among all rows.
pub(super) fn table<'r>(
    view: &MergeView<'_>,
    caption: &str,
    rows: impl Iterator<Item = (usize, &'r FieldRow<'r>)>,
) -> Markup {
    html! {
        table.merge {
            caption.unseen { (caption) }
            thead {
                tr {
                    th scope="col" { "Field" }
                    @for (heading, _) in columns(view) { th scope="col" { (heading) } }
                    @if view.is_editable { th scope="col" { "Other" } }
                }
            }
            tbody { @for (number, row) in rows { (field(view, number, row)) } }
        }
    }
}

/// Returns the columns with values. There is none for a base that is not known at all.
fn columns(view: &MergeView<'_>) -> Vec<(String, FieldSide)> {
    let is_base_known = |row: &FieldRow<'_>| !matches!(row.values.base, FieldValue::Unknown);
    let mut columns = Vec::new();
    if view.comparison.rows.iter().any(is_base_known) {
        let heading = match view.base_version {
            Some(version) => format!("Base (version {version})"),
            None => "Base".to_owned(),
        };
        columns.push((heading, FieldSide::Base));
    }
    let server = format!("Server (version {})", view.review.server_version());
    columns.push((server, FieldSide::Server));
    columns.push(("Device".to_owned(), FieldSide::Device));
    columns
}

/// Returns the maximum number of characters of one value: 4,000, or less if there are many rows.
fn value_chars_max(view: &MergeView<'_>) -> usize {
    let values = 3 * view.comparison.rows.len().max(1);
    (VALUES_CHARS_MAX / values).min(SHOWN_CHARS_MAX)
}

fn field(view: &MergeView<'_>, number: usize, row: &FieldRow<'_>) -> Markup {
    let pointer = row.pointer();
    let problem = view.problem_of(&pointer);
    let depth = row.path.len().saturating_sub(1);
    html! {
        tr id={ "row-" (number) } tabindex="-1" class=[problem.map(|_| "invalid")] {
            th scope="row" class={ "depth-" (depth) } {
                (name(row))
                span.label { (label(row.label)) }
                @if row.is_same_number { span.label { "same number, other digits" } }
                @if view.changed.contains(&pointer) {
                    span.label.new { "changed since you opened the page" }
                }
                @if let Some(problem) = problem {
                    span.error id={ "error-" (number) } { (text::visible(problem)) }
                }
                @if view.is_editable {
                    input type="hidden" name=(seen_field(&pointer)) value=(digest(row));
                }
            }
            @for (heading, side) in columns(view) { (side_cell(view, row, &heading, side)) }
            @if view.is_editable { (other_cell(view, number, row)) }
        }
    }
}

/// Returns the name of a field after the names of the objects that contain it.
fn name(row: &FieldRow<'_>) -> Markup {
    html! {
        @if let Some((own, parents)) = row.path.split_last() {
            @for parent in parents { span.parent { (text::long_name(parent, LABEL_CHARS_MAX)) " › " } }
            (text::long_name(own, NAME_CHARS_MAX))
        }
    }
}

/// Returns the path of a field as text: its end, if it is long.
fn plain_name(row: &FieldRow<'_>) -> String {
    let path = row.path.join(" › ");
    let start = path.char_indices().rev().nth(LABEL_CHARS_MAX - 1);
    match start {
        Some((start, _)) if start > 0 => format!("…{}", text::visible(&path[start..])),
        _ => text::visible(&path).into_owned(),
    }
}

/// Returns the cell with the value of a side, and the button that picks it.
fn side_cell(view: &MergeView<'_>, row: &FieldRow<'_>, heading: &str, side: FieldSide) -> Markup {
    let values = row.values;
    let (own, old) = match side {
        FieldSide::Base => (values.base, FieldValue::Unknown),
        FieldSide::Server => (values.server, values.base),
        FieldSide::Device if values.base.text().is_none() => (values.device, values.server),
        FieldSide::Device => (values.device, values.base),
    };
    let shown = html! {
        @if side == FieldSide::Device && matches!(own, FieldValue::Unknown) {
            span.none { "not changed" }
        } @else { (value(own, old, value_chars_max(view))) }
    };
    let is_pickable = view.is_editable && !matches!(own, FieldValue::Unknown);
    html! {
        td data-label=(heading) {
            @if is_pickable {
                (radio(view, row, RowChoice::Side(side), &html! {
                    span.unseen { (plain_name(row)) ", " (heading) ": " }
                    (shown)
                }))
            } @else { (shown) }
        }
    }
}

/// Returns the cell in which another value can be entered, and the field removed.
fn other_cell(view: &MergeView<'_>, number: usize, row: &FieldRow<'_>) -> Markup {
    let pointer = row.pointer();
    let name = plain_name(row);
    let is_invalid = view.problem_of(&pointer).is_some();
    let error = is_invalid.then(|| format!("error-{number}"));
    html! {
        td data-label="Other" {
            (radio(view, row, RowChoice::Entered, &html! {
                span.unseen { (name) ": " } "this value:"
            }))
            input.json type="text" name=(value_field(&pointer)) value=(view.entries.value(&pointer))
                aria-label={ "Value of " (name) " as JSON" } placeholder="JSON"
                autocomplete="off" spellcheck="false" dir="auto"
                aria-invalid=[error.as_ref().map(|_| "true")] aria-describedby=[error];
            (radio(view, row, RowChoice::Removed, &html! {
                span.unseen { (name) ": " } "remove the field"
            }))
        }
    }
}

fn radio(view: &MergeView<'_>, row: &FieldRow<'_>, choice: RowChoice, text: &Markup) -> Markup {
    let is_picked = view.entries.choice(row) == Some(choice);
    html! {
        label.pick {
            input type="radio" name=(pick_field(&row.pointer())) value=(choice.as_str())
                checked[is_picked];
            span { (text) }
        }
    }
}

const fn label(label: FieldLabel) -> &'static str {
    match label {
        FieldLabel::Unchanged | FieldLabel::Equal => "unchanged",
        FieldLabel::OnlyDevice => "only the device changed it",
        FieldLabel::OnlyServer => "only the server changed it",
        FieldLabel::Both => "both changed it",
        FieldLabel::Same => "both changed it to the same value",
        FieldLabel::Differs => "differs; the base is not known",
    }
}
