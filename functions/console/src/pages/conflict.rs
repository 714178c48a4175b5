//! The page Conflict: what a device changed, what the server has now, and the resolution: by field
//! if both have content, otherwise one of two or three decisions.

mod cell;
mod decision;
mod decisions;
mod entries;
mod facts;
mod holder;
mod merge;
mod next;
mod rows;
mod situation;
mod submit;

use std::collections::HashSet;

use lambda_http::http::StatusCode;
use maud::{Markup, html};
use tidemark_app::conflicts::{self, ConflictReview};
use tidemark_aws::Error;
use tidemark_core::{
    model::conflict::ConflictStatus,
    rules::{
        base,
        comparison::{ConflictSides, MergeDecision, PayloadComparison, compare, decide},
    },
};

use super::conflicts::{LIST, ListQuery, path_of};
use crate::{
    page::{PageReply, Serving, Visit},
    text,
};

pub(super) use submit::serve as serve_submit;

use entries::MergeEntries;
use situation::Situation;

pub(super) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let review = read(visit).await?;
        show(visit, &review, ReviewState::default()).await
    })
}

async fn read(visit: &Visit<'_>) -> Result<ConflictReview, Error> {
    conflicts::review(visit.context, visit.principal, visit.parameter("id")).await
}

/// What a person entered so far, and why it was not accepted.
#[derive(Default)]
struct ReviewState {
    entries: MergeEntries,
    /// The selected decision of a conflict that is not merged by field.
    decision: String,
    note: String,
    problems: Vec<FormProblem>,
    /// The pointers of the rows that changed since the page was opened.
    changed: HashSet<String>,
    /// The status of the page of a rejected form.
    status: Option<StatusCode>,
}

/// A reason why a form was not accepted.
struct FormProblem {
    /// The pointer of the row that it is about, if there is one.
    pointer: Option<String>,
    text: String,
}

impl ReviewState {
    /// Returns the problem of a field.
    fn problem_of(&self, pointer: &str) -> Option<&FormProblem> {
        let mut problems = self.problems.iter();
        problems.find(|problem| problem.pointer.as_deref() == Some(pointer))
    }
}

/// What the merge table shows.
struct MergeView<'v> {
    review: &'v ConflictReview,
    comparison: &'v PayloadComparison<'v>,
    decision: &'v MergeDecision,
    /// The version on which the device made its edits, if it is known.
    base_version: Option<u64>,
    entries: &'v MergeEntries,
    note: &'v str,
    problems: &'v [FormProblem],
    changed: &'v HashSet<String>,
    /// Whether the user may resolve the conflict.
    is_editable: bool,
    /// The address that receives the form.
    action: &'v str,
}

impl MergeView<'_> {
    /// Returns the problem of a row.
    fn problem_of(&self, pointer: &str) -> Option<&str> {
        let mut own = self
            .problems
            .iter()
            .filter(|problem| problem.pointer.as_deref() == Some(pointer));
        own.next().map(|problem| problem.text.as_str())
    }
}

/// Returns the page of a conflict.
async fn show(
    visit: &Visit<'_>,
    review: &ConflictReview,
    state: ReviewState,
) -> Result<PageReply, Error> {
    let list = ListQuery::parse(visit.query("list").unwrap_or_default());
    let action = visit.link(&path_of(&review.conflict.id, &list.encoded()));
    let situation = Situation::of(review);

    let body = match situation {
        Situation::Resolved => facts::outcome(review, &state.problems),
        Situation::Merge => merged(visit, review, &state, &action),
        _ => decisions::page(visit, review, situation, &state, &action).await?,
    };
    let back = visit.link(&list.path(LIST, &[]));
    let next = next::path(visit, &review.conflict, &list).await?;
    let content = html! {
        nav.pages aria-label="List" {
            a href=(back) { "Back to the list" }
            @if let Some(next) = next { a href=(visit.link(&next)) { "Next conflict" } }
        }
        (facts::sentence(review))
        (body)
        (facts::edits(review))
    };

    let title = title(review);
    Ok(match state.status {
        None => PageReply::View { title, content },
        Some(status) => PageReply::Rejected {
            status,
            title,
            content,
        },
    })
}

/// Returns the content of the page for a conflict that can be merged by field.
fn merged(visit: &Visit<'_>, review: &ConflictReview, state: &ReviewState, action: &str) -> Markup {
    let content = with_comparison(visit, review, |comparison| {
        let decision = decide(comparison, &state.entries.picks(&comparison.rows));
        merge::view(&MergeView {
            review,
            comparison,
            decision: &decision,
            base_version: base::version(&review.conflict),
            entries: &state.entries,
            note: &state.note,
            problems: &state.problems,
            changed: &state.changed,
            is_editable: visit.principal.is_admin(),
            action,
        })
    });
    content.unwrap_or_default()
}

/// Compares the payloads of a conflict. Returns `None` if they cannot be merged by field.
fn with_comparison<T>(
    visit: &Visit<'_>,
    review: &ConflictReview,
    work: impl FnOnce(&PayloadComparison<'_>) -> T,
) -> Option<T> {
    let catalog = &visit.context.settings.catalog;
    let rules = catalog.get(&review.conflict.resource.resource_type);
    let current = review.current.as_ref()?;
    let edits = &review.conflict.edits;
    let sides = ConflictSides::of(review.base.as_ref(), &current.payload, edits)?;
    Some(work(&compare(&sides, rules)))
}

fn title(review: &ConflictReview) -> String {
    let resource = &review.conflict.resource;
    let status = match review.conflict.outcome {
        None => ConflictStatus::Open,
        Some(_) => ConflictStatus::Resolved,
    };
    format!(
        "Conflict: {} {} ({})",
        resource.resource_type,
        text::visible(&resource.id),
        super::conflicts::words::status(status)
    )
}

/// Returns the list of the reasons why a form was not accepted. `target` returns the id of the
/// element that a problem is about.
fn problem_list<'p>(
    problems: &'p [FormProblem],
    target: impl Fn(&'p FormProblem) -> Option<String>,
) -> Markup {
    html! {
        @if !problems.is_empty() {
            div.message.error #problems role="alert" tabindex="-1" {
                p { "The conflict is not resolved yet:" }
                ul {
                    @for problem in problems {
                        li {
                            @match target(problem) {
                                Some(id) => { a href={ "#" (id) } { (text::visible(&problem.text)) } },
                                None => { (text::visible(&problem.text)) },
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
