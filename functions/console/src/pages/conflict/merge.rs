//! The form in which a person merges the fields of a conflict.

use std::collections::HashMap;

use maud::{Markup, html};
use tidemark_core::{
    model::limits::NOTE_CHARS_MAX,
    rules::comparison::{FieldLabel, FieldRow},
};

use super::{MergeView, problem_list, rows};
use crate::text;

/// The maximum number of characters of the preview.
const PREVIEW_CHARS_MAX: usize = 20_000;

pub(super) fn view(view: &MergeView<'_>) -> Markup {
    let targets = targets(view);
    let content = html! {
        (changed_rows(view))
        (unchanged_rows(view))
        @if view.comparison.hidden > 0 {
            p {
                (view.comparison.hidden)
                " further fields are not shown. They keep the server's values."
            }
        }
    };
    html! {
        (problem_list(view.problems, |problem| {
            targets.get(problem.pointer.as_ref()?).cloned()
        }))
        @if view.is_editable {
            form.conflict method="post" action=(view.action) {
                input type="hidden" name="expected_server_version"
                    value=(view.review.server_version());
                input type="hidden" name="edits" value=(view.review.conflict.edits.len());
                (toolbar(view))
                (content)
                (preview(view))
                (store(view))
            }
        } @else { (content) }
    }
}

/// Returns the ids of the rows that problems are about, by their pointers.
fn targets(view: &MergeView<'_>) -> HashMap<String, String> {
    if view.problems.is_empty() {
        return HashMap::new();
    }
    let rows = view.comparison.rows.iter().enumerate();
    rows.map(|(number, row)| (row.pointer(), format!("row-{number}")))
        .collect()
}

/// Returns the buttons above the table. The first button of the form is the one that the key Enter
/// presses, so it stores nothing.
fn toolbar(view: &MergeView<'_>) -> Markup {
    let undecided = view.decision.undecided.len();
    html! {
        div.toolbar {
            button type="submit" name="action" value="preview" { "Update the preview" }
            button type="submit" name="action" value="device" { "Take all of the device's" }
            button type="submit" name="action" value="server" { "Keep all of the server's" }
            p.undecided role="status" {
                @match undecided {
                    0 => { "Every field is decided." },
                    1 => { "1 field to decide" },
                    _ => { (undecided) " fields to decide" },
                }
            }
        }
    }
}

const fn is_unchanged(row: &FieldRow<'_>) -> bool {
    matches!(row.label, FieldLabel::Unchanged | FieldLabel::Equal)
}

fn changed_rows(view: &MergeView<'_>) -> Markup {
    let rows = view.comparison.rows.iter().enumerate();
    let changed: Vec<_> = rows.filter(|(_, row)| !is_unchanged(row)).collect();
    html! {
        @if changed.is_empty() {
            p.empty { "The server and the device have the same values." }
        } @else {
            (rows::table(view, "Fields that differ", changed.into_iter()))
        }
    }
}

/// Returns the rows without a difference, which are open if one of them has a problem or a pick.
fn unchanged_rows(view: &MergeView<'_>) -> Markup {
    let rows = view.comparison.rows.iter().enumerate();
    let unchanged: Vec<_> = rows.filter(|(_, row)| is_unchanged(row)).collect();
    let is_open = unchanged.iter().any(|(_, row)| {
        let pointer = row.pointer();
        view.problem_of(&pointer).is_some() || !view.entries.value(&pointer).is_empty()
    });
    html! {
        @if !unchanged.is_empty() {
            details open[is_open] {
                summary {
                    @match unchanged.len() {
                        1 => { "1 unchanged field" },
                        count => { (count) " unchanged fields" },
                    }
                }
                (rows::table(view, "Unchanged fields", unchanged.into_iter()))
            }
        }
    }
}

fn preview(view: &MergeView<'_>) -> Markup {
    html! {
        section aria-labelledby="preview" {
            h2 #preview { "What will be stored" }
            @if !view.decision.is_complete() {
                p.none { "Fields that are not decided have the server's values here." }
            }
            pre.stored tabindex="0" { (text::long(view.decision.preview.get(), PREVIEW_CHARS_MAX)) }
        }
    }
}

fn store(view: &MergeView<'_>) -> Markup {
    let version = view.review.server_version().saturating_add(1);
    html! {
        div.stack {
            (note(view.note))
            button.primary type="submit" name="action" value="store" {
                "Store as version " (version)
            }
        }
    }
}

/// Returns the field for the reason of a resolution.
pub(super) fn note(text: &str) -> Markup {
    html! {
        label {
            "Why (for the audit log)"
            textarea name="note" rows="3" maxlength=(NOTE_CHARS_MAX) dir="auto" { (text) }
        }
    }
}
