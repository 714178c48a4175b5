//! The decisions about a conflict whose fields cannot be merged: to drop the device's edits, to
//! apply them, or to apply them with another unique value.

use maud::{Markup, html};
use tidemark_app::{conflicts::ConflictReview, resolve};
use tidemark_aws::Error;
use tidemark_core::{
    model::resolve::RequestedResolution,
    wire::{problem::Problem, resolve::ResolveRequest},
};

use super::{
    ReviewState,
    decision::{Decision, UniqueField, unique_fields},
    entries::value_field,
    facts,
    holder::UniqueHolder,
    merge, problem_list,
    situation::Situation,
};
use crate::{page::Visit, text};

/// What the page shows.
pub(super) struct DecisionsView<'v> {
    pub(super) review: &'v ConflictReview,
    pub(super) situation: Situation,
    pub(super) state: &'v ReviewState,
    /// Why the device's edits cannot be applied.
    pub(super) obstacle: Option<&'v Problem>,
    /// The unique fields that the device's edits set.
    pub(super) unique: &'v [UniqueField],
    /// Whether the user may resolve the conflict.
    pub(super) is_editable: bool,
    /// The address that receives the form.
    pub(super) action: &'v str,
}

/// Returns the content of the page for a conflict whose fields cannot be merged.
pub(super) async fn page(
    visit: &Visit<'_>,
    review: &ConflictReview,
    situation: Situation,
    state: &ReviewState,
    action: &str,
) -> Result<Markup, Error> {
    let obstacle = obstacle(visit, review).await?;
    let catalog = &visit.context.settings.catalog;
    let rules = catalog.get(&review.conflict.resource.resource_type);
    let unique = rules.map(|rules| unique_fields(rules, &review.conflict.edits));

    Ok(view(
        &DecisionsView {
            review,
            situation,
            state,
            obstacle: obstacle.as_ref(),
            unique: unique.as_deref().unwrap_or_default(),
            is_editable: visit.principal.is_admin(),
            action,
        },
        |path| visit.link(path),
    ))
}

/// Returns the reason why the device's edits cannot be applied now, if there is one. Only an admin
/// needs it.
async fn obstacle(visit: &Visit<'_>, review: &ConflictReview) -> Result<Option<Problem>, Error> {
    if !visit.principal.is_admin() {
        return Ok(None);
    }
    let request = ResolveRequest {
        resolution: RequestedResolution::AcceptClient,
        payload: None,
        fields: None,
        expected_server_version: Some(review.server_version()),
        dry_run: Some(true),
        note: None,
    };
    let (context, principal) = (visit.context, visit.principal);
    match resolve::by_admin(context, principal, &review.conflict.id, request).await {
        Ok(_) => Ok(None),
        Err(Error::Rejected(problem)) => Ok(Some(problem)),
        Err(failure) => Err(failure),
    }
}

pub(super) fn view(view: &DecisionsView<'_>, link: impl FnOnce(&str) -> String) -> Markup {
    let resource_type = &view.review.conflict.resource.resource_type;
    let holder = view.obstacle.and_then(UniqueHolder::of);
    html! {
        (problem_list(&view.state.problems, |problem| {
            problem.pointer.as_deref().map(UniqueField::input_id)
        }))
        @if let Some(sentence) = view.situation.sentence() { p { (sentence) } }
        @if let Some(holder) = holder { (holder.sentence(resource_type, link)) }
        @if let Some(current) = &view.review.current {
            (facts::payload("The server's content", &current.payload))
        }
        @if view.is_editable { (form(view)) }
    }
}

fn form(view: &DecisionsView<'_>) -> Markup {
    html! {
        form.stack.conflict method="post" action=(view.action) {
            input type="hidden" name="expected_server_version"
                value=(view.review.server_version());
            input type="hidden" name="edits" value=(view.review.conflict.edits.len());
            fieldset {
                legend { "Resolution" }
                (radio(view, Decision::Keep, view.situation.kept()))
                @match view.obstacle {
                    None => { (radio(view, Decision::Apply, view.situation.applied())) },
                    Some(problem) => {
                        p.none {
                            "The device's edits cannot be applied: "
                            (text::visible(&problem.detail))
                        }
                    },
                }
                (other_values(view))
            }
            (merge::note(&view.state.note))
            button.primary type="submit" name="action" value="store" { "Resolve" }
        }
    }
}

fn radio(view: &DecisionsView<'_>, decision: Decision, effect: &str) -> Markup {
    html! {
        label.check {
            input type="radio" name="decision" value=(decision.as_str()) required
                checked[view.state.decision == decision.as_str()];
            span { (effect) }
        }
    }
}

/// Returns the fields for other unique values.
fn other_values(view: &DecisionsView<'_>) -> Markup {
    let is_offered = view.situation == Situation::UniqueValueTaken && !view.unique.is_empty();
    html! {
        @if is_offered {
            (radio(view, Decision::ApplyWithValues, "Apply the device's edits with another value:"))
            @for field in view.unique {
                @let problem = view.state.problem_of(&field.pointer());
                @let entered = view.state.entries.value(&field.pointer());
                @let value = if entered.is_empty() { field.value.get() } else { entered };
                label {
                    span { (text::name(&field.name)) " as JSON" }
                    input.json id=(UniqueField::input_id(&field.pointer())) type="text" value=(value)
                        name=(value_field(&field.pointer())) autocomplete="off" spellcheck="false"
                        dir="auto" aria-invalid=[problem.map(|_| "true")];
                    @if let Some(problem) = problem {
                        span.error { (text::visible(&problem.text)) }
                    }
                }
            }
        }
    }
}
