//! The preview of a resolution of several conflicts, and its result.

use std::collections::{BTreeMap, HashMap};

use maud::{Markup, html};
use tidemark_core::{
    model::{
        limits::NOTE_CHARS_MAX,
        resolve::{BulkResolveStatus, RequestedResolution},
    },
    wire::resolve::{BulkResolveResponse, BulkResolveResult},
};

use super::{Link, path_of, selection::SelectedConflict, words};
use crate::{elements::segment, text};

/// What the preview shows.
pub(super) struct PreviewView<'v> {
    pub(super) selected: &'v [SelectedConflict],
    /// What would happen if the devices' edits were applied.
    pub(super) applied: &'v BulkResolveResponse,
    pub(super) resolution: Option<RequestedResolution>,
    pub(super) note: &'v str,
    /// The encoded parameters of the list.
    pub(super) list: &'v str,
    /// The reason why the form was rejected.
    pub(super) error: Option<&'v str>,
    /// The reference to the list.
    pub(super) back: &'v str,
    pub(super) link: Link<'v>,
}

/// Returns the message that no conflict can be resolved.
pub(super) fn nothing_to_resolve(reason: &str, back: &str) -> Markup {
    html! {
        div.message.error role="alert" { p { (reason) } }
        p { a.button href=(back) { "Back to the list" } }
    }
}

pub(super) fn preview(view: &PreviewView<'_>) -> Markup {
    let count = view.selected.len();
    html! {
        @if let Some(error) = view.error { div.message.error role="alert" { p { (error) } } }
        (groups(view.selected))
        form.stack method="post" action=((view.link)("conflicts/resolve")) {
            input type="hidden" name="step" value="resolve";
            input type="hidden" name="list" value=(view.list);
            @for selected in view.selected {
                input type="hidden" name="select" value=(selected.encoded());
            }
            (resolutions(view))
            label {
                "Why (for the audit log)"
                textarea name="note" rows="3" maxlength=(NOTE_CHARS_MAX) dir="auto" { (view.note) }
            }
            div.buttons {
                button.primary type="submit" { "Resolve " (plural(count)) }
                a.button href=(view.back) { "Cancel" }
            }
        }
        (rejected(view.applied, view.selected, view.link))
    }
}

/// Returns the number of the conflicts by type and reason.
fn groups(selected: &[SelectedConflict]) -> Markup {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for conflict in selected {
        let key = (conflict.resource_type.as_str(), words::code(conflict.code));
        *counts.entry(key).or_default() += 1;
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Selected conflicts" {
            table {
                thead {
                    tr {
                        th scope="col" { "Type" }
                        th scope="col" { "Reason" }
                        th scope="col" { "Conflicts" }
                    }
                }
                tbody {
                    @for ((resource_type, code), count) in &counts {
                        tr {
                            th scope="row" { (text::name(resource_type)) }
                            td { (code) }
                            td { (count) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the ways to resolve the conflicts, with the number that each can resolve.
fn resolutions(view: &PreviewView<'_>) -> Markup {
    let is_open = |result: &&BulkResolveResult| result.status == BulkResolveStatus::Open;
    let applied = view.applied.results.iter().filter(is_open).count();
    let effects = [
        (
            RequestedResolution::AcceptServer,
            "Keep the server's content; the devices' edits are dropped.".to_owned(),
        ),
        (
            RequestedResolution::AcceptClient,
            format!(
                "Apply the devices' edits: possible for {applied} of {}.",
                plural(view.selected.len())
            ),
        ),
    ];
    html! {
        fieldset {
            legend { "Resolution" }
            @for (resolution, effect) in effects {
                label.check {
                    input type="radio" name="resolution" value=(resolution) required
                        checked[view.resolution == Some(resolution)];
                    span { (effect) }
                }
            }
        }
    }
}

/// Returns the conflicts to which the devices' edits cannot be applied.
fn rejected(
    applied: &BulkResolveResponse,
    selected: &[SelectedConflict],
    link: Link<'_>,
) -> Markup {
    let is_rejected = |result: &&BulkResolveResult| result.status != BulkResolveStatus::Open;
    let rejected: Vec<_> = applied.results.iter().filter(is_rejected).collect();
    html! {
        @if !rejected.is_empty() {
            section aria-labelledby="rejected" {
                h2 #rejected { "The devices' edits cannot be applied" }
                (reasons(&rejected, selected, link))
            }
        }
    }
}

/// Returns the page after the resolution: how many conflicts were resolved, and why others remain.
pub(super) fn result(
    response: &BulkResolveResponse,
    selected: &[SelectedConflict],
    back: &str,
    link: Link<'_>,
) -> Markup {
    let is_resolved = |result: &&BulkResolveResult| result.status == BulkResolveStatus::Resolved;
    let (resolved, remaining): (Vec<_>, Vec<_>) = response.results.iter().partition(is_resolved);
    html! {
        div.message role="status" {
            p { (plural(resolved.len())) " resolved, " (remaining.len()) " not resolved." }
            p { "The audit log has them under the id " code { (response.bulk_id) } "." }
        }
        @if !remaining.is_empty() {
            section aria-labelledby="remaining" {
                h2 #remaining { "Not resolved" }
                (reasons(&remaining, selected, link))
            }
        }
        p { a.button href=(back) { "Back to the list" } }
    }
}

/// Returns a table of conflicts with the reasons why they remain.
fn reasons(
    results: &[&BulkResolveResult],
    selected: &[SelectedConflict],
    link: Link<'_>,
) -> Markup {
    let types: HashMap<&str, &str> = selected
        .iter()
        .map(|conflict| (conflict.id.as_str(), conflict.resource_type.as_str()))
        .collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Conflicts with reasons" {
            table {
                thead { tr { th scope="col" { "Conflict" } th scope="col" { "Reason" } } }
                tbody {
                    @for result in results {
                        @let resource_type = types.get(result.id.as_str()).copied();
                        tr {
                            th scope="row" {
                                a href=(link(&path_of(&segment(&result.id), ""))) {
                                    (text::name(resource_type.unwrap_or_default())) " "
                                    code { (text::visible(&result.id)) }
                                }
                            }
                            td { (reason(result)) }
                        }
                    }
                }
            }
        }
    }
}

fn reason(result: &BulkResolveResult) -> Markup {
    html! {
        @match (&result.problem, result.status) {
            (Some(problem), _) => { (text::visible(&problem.detail)) },
            (None, BulkResolveStatus::Resolved) => { "It is resolved already." },
            (None, _) => { "The request ended before this conflict was processed: send it again." },
        }
    }
}

fn plural(count: usize) -> String {
    match count {
        1 => "1 conflict".to_owned(),
        _ => format!("{count} conflicts"),
    }
}
