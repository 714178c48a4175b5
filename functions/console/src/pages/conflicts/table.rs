//! The table of conflicts.

use maud::{Markup, html};
use tidemark_core::{
    model::conflict::ListedStatus,
    wire::conflicts::{ConflictEntry, ConflictList},
};

use super::{ListView, selection::SelectedConflict, words};
use crate::text;

/// Returns the table. A user who may resolve conflicts can select the open ones.
pub(super) fn table(view: &ListView<'_>, list: &ConflictList) -> Markup {
    let has_status = view.query.get("status") == ListedStatus::All.as_str();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Conflicts" {
            table.list {
                thead {
                    tr {
                        @if view.may_resolve { th scope="col" { span.unseen { "Selected" } } }
                        th scope="col" { "Resource" }
                        th scope="col" { "Detected (UTC)" }
                        th scope="col" { "User" }
                        th scope="col" { "Device" }
                        th scope="col" { "Reason" }
                        th scope="col" { "Edits" }
                        @if has_status { th scope="col" { "Status" } }
                    }
                }
                tbody {
                    @for conflict in &list.conflicts { (row(view, conflict, has_status)) }
                }
            }
        }
    }
}

fn row(view: &ListView<'_>, conflict: &ConflictEntry, has_status: bool) -> Markup {
    html! {
        tr {
            @if view.may_resolve { td { (checkbox(view, conflict)) } }
            th scope="row" { (resource(view, conflict)) }
            td { (text::time(conflict.detected_at)) }
            td { (text::name(&conflict.user)) }
            td { (text::name(&conflict.device_id)) }
            td { (words::code(conflict.code)) }
            td { (conflict.edit_count) }
            @if has_status { td { (words::status(conflict.status)) } }
        }
    }
}

/// Returns the link to the conflict, which keeps the parameters of the list.
fn resource(view: &ListView<'_>, conflict: &ConflictEntry) -> Markup {
    let list = view.query.encoded();
    let path = super::path_of(&conflict.id, &list);
    html! {
        a href=((view.link)(&path)) {
            (conflict.resource_type) " " (text::name(&conflict.resource_id))
        }
    }
}

fn checkbox(view: &ListView<'_>, conflict: &ConflictEntry) -> Markup {
    let Some(selected) = SelectedConflict::of(conflict) else {
        return html! {};
    };
    let label = format!(
        "Select {} {}",
        conflict.resource_type,
        text::visible(&conflict.resource_id)
    );
    html! {
        label.check {
            input type="checkbox" name="select" value=(selected.encoded())
                checked[view.is_selected] aria-label=(label);
        }
    }
}
