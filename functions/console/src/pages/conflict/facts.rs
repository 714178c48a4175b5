//! What a conflict is about: who changed what, each edit, and the outcome.

use maud::{Markup, html};
use serde_json::value::RawValue;
use tidemark_app::conflicts::ConflictReview;
use tidemark_core::{
    model::{
        conflict::{ConflictEdit, ConflictOutcome},
        edit::Action,
    },
    rules::base,
};

use super::FormProblem;
use crate::{
    elements,
    pages::conflicts::words,
    text::{self, SHOWN_CHARS_MAX},
};

/// The maximum number of characters of all edits that the page shows.
const EDITS_CHARS_MAX: usize = 100_000;

/// Returns who edited which version on which device, and the state of the server.
pub(super) fn sentence(review: &ConflictReview) -> Markup {
    let conflict = &review.conflict;
    let first = conflict.edits.first().map(|edit| edit.action);
    html! {
        p.summary {
            (text::name(&conflict.user)) " on the device " (text::name(&conflict.device_id)) " "
            (verb(first, base::version(conflict)))
            ", " (text::time(conflict.detected_at)) " UTC. "
            @match &review.current {
                None => { "The server has no such resource." },
                Some(current) => {
                    "The server is at version " (current.server_version)
                    @if current.deleted { ", which is deleted" }
                    "."
                },
            }
        }
        dl.facts {
            dt { "Reason" } dd { (words::code(conflict.code)) }
            dt { "Channel" } dd { (text::name(&conflict.resource.channel.to_string())) }
        }
    }
}

fn verb(action: Option<Action>, base_version: Option<u64>) -> Markup {
    html! {
        @match action {
            Some(Action::Create) => { "created it" },
            Some(Action::Delete) => { "deleted it" },
            _ => { "edited it" },
        }
        @if let Some(version) = base_version { " at version " (version) }
    }
}

/// Returns the edits of the device, collapsed. The more edits there are, the less of each is shown.
pub(super) fn edits(review: &ConflictReview) -> Markup {
    let conflict = &review.conflict;
    let chars_max = EDITS_CHARS_MAX / (2 * conflict.edits.len().max(1));
    let chars_max = chars_max.min(SHOWN_CHARS_MAX);
    html! {
        details.edits {
            summary {
                @match conflict.edits.len() {
                    1 => { "1 edit by " },
                    count => { (count) " edits by " },
                }
                (text::name(&conflict.user))
            }
            ol { @for edit in &conflict.edits { li { (one_edit(edit, chars_max)) } } }
        }
    }
}

fn one_edit(edit: &ConflictEdit, chars_max: usize) -> Markup {
    html! {
        p {
            (edit.action.as_str()) ", client version " (edit.client_version)
            @if let Some(version) = edit.base_version { ", base version " (version) }
        }
        (beginning("Content", &edit.payload, chars_max))
        @if let Some(was) = &edit.was { (beginning("Before, on the device", was, chars_max)) }
    }
}

/// Returns a payload as text.
pub(super) fn payload(heading: &str, payload: &RawValue) -> Markup {
    beginning(heading, payload, SHOWN_CHARS_MAX)
}

fn beginning(heading: &str, payload: &RawValue, chars_max: usize) -> Markup {
    html! {
        p { (heading) ":" }
        pre tabindex="0" { (text::long(payload.get(), chars_max)) }
    }
}

/// Returns how the conflict was resolved, after the reasons why a form was not accepted.
pub(super) fn outcome(review: &ConflictReview, problems: &[FormProblem]) -> Markup {
    let Some(outcome) = &review.conflict.outcome else {
        return html! {};
    };
    html! {
        @for problem in problems {
            div.message.error role="alert" { p { (text::visible(&problem.text)) } }
        }
        section aria-labelledby="outcome" {
            h2 #outcome { "Outcome" }
            dl.facts {
                dt { "Resolution" } dd { (words::resolution(outcome.resolution)) }
                dt { "By" } dd { (text::name(&outcome.resolved_by)) }
                dt { "At" } dd { (text::time(outcome.resolved_at)) " UTC" }
                dt { "Note" } dd { (elements::optional_name(outcome.note.as_deref())) }
                dt { "Version" } dd { (version(outcome)) }
                @if let Some(delivered) = review.delivered {
                    dt { "Delivered" }
                    dd {
                        @if delivered { "yes, the device has it" } @else { "not yet" }
                    }
                }
            }
            @if let Some(current) = &review.current {
                (payload("The server's content now", &current.payload))
            }
        }
    }
}

fn version(outcome: &ConflictOutcome) -> Markup {
    html! {
        @match outcome.server_version {
            0 => { "there is no resource" },
            version => { (version) },
        }
    }
}
