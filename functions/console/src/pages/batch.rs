//! The page of one batch: each item next to its result, the replay, and its dry run next to the
//! previous results.

mod form;
pub(super) mod item;
mod result;

use maud::{Markup, html};
use tidemark_app::{batches, replay};
use tidemark_core::{
    model::{json::Json, limits::BATCH_ITEMS_MAX},
    wire::{
        batches::{BatchResponse, ReplayRequest, ReplayResponse},
        problem::Problem,
        push::ItemResultBody,
    },
};

use crate::{
    elements::{none, optional_time, segment},
    page::{PageReply, Serving, Visit},
    text::{long, name, time, visible},
};

use super::batches::{replay_buttons, short_id};

/// The maximum number of characters of an item that the page of its batch shows.
const ITEM_CHARS_MAX: usize = 400;

/// The links of the page.
struct BatchLinks {
    list: String,
    /// The page of this batch.
    batch: String,
    conflicts: String,
    /// The target of the form that replays the batch; `None` if the user may not replay it.
    replay: Option<String>,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let from = first_item(visit)?;
        let id = visit.parameter("id");
        let batch = batches::get(visit.context, visit.principal, id, from).await?;
        let content = html! {
            (facts(&batch))
            (items(&batch, from, None, &BatchLinks::of(visit, id)))
        };
        Ok(PageReply::View {
            title: title("Batch", id),
            content,
        })
    })
}

/// Replays the batch and returns to its page. A dry run is a page of its own.
pub(crate) fn serve_replay<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let id = visit.parameter("id");
        // Only the button of the replay sends "no": without a button nothing is written.
        let dry_run = visit.fields("dry_run").next() != Some("no");
        let request = ReplayRequest {
            dry_run: Some(dry_run),
            with_stored_roles: Some(visit.fields("with_stored_roles").next().is_some()),
        };

        let (context, admin) = (visit.context, visit.principal);
        let previous = batches::get(context, admin, id, 0).await?;
        let replayed = replay::replay(context, visit.buckets.media, admin, id, request).await?;
        if !dry_run {
            return Ok(PageReply::SeeOther(format!("batches/{}", segment(id))));
        }

        let content = html! {
            (runs_as(&replayed))
            (items(&previous, 0, Some(&replayed), &BatchLinks::of(visit, id)))
        };
        Ok(PageReply::View {
            title: title("Dry run of batch", id),
            content,
        })
    })
}

fn title(what: &str, id: &str) -> String {
    format!("{what} {}", visible(short_id(id)))
}

/// Returns the index of the first item that the query requests.
fn first_item(visit: &Visit<'_>) -> Result<usize, Problem> {
    let Some(from) = visit.query("from") else {
        return Ok(0);
    };
    let from = from.parse().ok().filter(|from| *from < BATCH_ITEMS_MAX);
    let detail = format!("must be the index of an item, below {BATCH_ITEMS_MAX}");
    from.ok_or_else(|| Problem::malformed("from", detail))
}

impl BatchLinks {
    fn of(visit: &Visit<'_>, id: &str) -> Self {
        let batch = format!("batches/{}", segment(id));
        let replay = visit.principal.is_admin();
        Self {
            list: visit.link("batches"),
            conflicts: visit.link("conflicts"),
            replay: replay.then(|| visit.link(&format!("{batch}/replay"))),
            batch: visit.link(&batch),
        }
    }
}

fn facts(batch: &BatchResponse) -> Markup {
    html! {
        dl.facts {
            dt { "User" } dd { (name(&batch.user)) }
            dt { "Device" } dd { (name(&batch.device_id)) }
            dt { "Id" } dd { code { (name(&batch.batch_id)) } }
            dt { "Received (UTC)" } dd { (time(batch.received_at)) }
            dt { "Processed (UTC)" } dd { (optional_time(batch.processed_at)) }
            dt { "Received by the device" }
            dd { @if batch.delivered { "yes" } @else { "not known" } }
        }
        @if batch.results.is_none() {
            div.message {
                p { "The batch has no results: the push ended before it stored them." }
            }
        }
    }
}

fn runs_as(replayed: &ReplayResponse) -> Markup {
    html! {
        div.message {
            p {
                "Nothing was written. The replay would run as " (name(&replayed.runs_as.user))
                " with "
                @if replayed.runs_as.roles.is_empty() { "no roles" }
                @else { "the roles " (name(&replayed.runs_as.roles.join(", "))) }
                "."
            }
        }
    }
}

/// Returns the items of a page with their results; after a dry run also with those of the replay.
fn items(
    batch: &BatchResponse,
    from: usize,
    replayed: Option<&ReplayResponse>,
    links: &BatchLinks,
) -> Markup {
    let results = batch.results.as_deref().unwrap_or_default();
    let result_head = if replayed.is_some() {
        "Previous result"
    } else {
        "Result"
    };

    html! {
        section aria-labelledby="items" {
            h2 #items { "Items" }
            div.scroll tabindex="0" role="region" aria-labelledby="items" {
                table.list {
                    thead {
                        tr {
                            th scope="col" { "Number" }
                            th scope="col" { "Item" }
                            th scope="col" { (result_head) }
                            @if replayed.is_some() { th scope="col" { "Dry run" } }
                        }
                    }
                    tbody {
                        @for (index, item) in (from..).zip(&batch.items) {
                            tr {
                                th scope="row" {
                                    a href={ (links.batch) "/items/" (index) } { (index) }
                                }
                                td { (item_text(item.as_ref())) }
                                td { (result_at(results, index, links)) }
                                @if let Some(replayed) = replayed {
                                    td { (result_at(&replayed.results, index, links)) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = batch.next_item {
                p { a.button href={ (links.batch) "?from=" (next) } { "Further items" } }
            }
        }
        (actions(links))
    }
}

fn item_text(item: Option<&Json>) -> Markup {
    match item {
        Some(item) => long(item.get(), ITEM_CHARS_MAX),
        None => html! { span.none { "too large for a page" } },
    }
}

fn result_at(results: &[ItemResultBody], index: usize, links: &BatchLinks) -> Markup {
    let mut at_index = results.iter().filter(|result| result.index == index);
    match at_index.next() {
        Some(found) => result::view(found, &links.conflicts),
        None => none(),
    }
}

fn actions(links: &BatchLinks) -> Markup {
    html! {
        @if let Some(replay) = &links.replay {
            section aria-labelledby="replay" {
                h2 #replay { "Replay" }
                p {
                    "Items that were applied keep their results. All others are processed again, "
                    "as the device that sent them."
                }
                form.stack method="post" action=(replay) {
                    label.check {
                        input type="checkbox" name="with_stored_roles" value="yes";
                        span { "With the role admin, if the user had it when it pushed the batch" }
                    }
                    (replay_buttons("the batch"))
                }
            }
        }
        p { a href=(links.list) { "All batches" } }
    }
}

#[cfg(test)]
mod tests;
