//! The page Batches: the batches with errors, with conflicts or without results, and the replay of
//! several of them.

mod bulk;
mod filter;

use maud::{Markup, html};
use tidemark_app::batches;
use tidemark_core::{
    model::batch::ListedOutcome,
    wire::batches::{BatchList, ListedBatchBody},
};

use crate::{
    elements::{optional_time, pager, segment, with_query},
    page::{PageReply, Serving, Visit},
    text::name,
};

pub(crate) use bulk::serve as serve_bulk;
use filter::{FilterForm, batch_filter};

/// The path of the page.
const PATH: &str = "batches";

/// The links of the page.
struct ListLinks {
    list: String,
    first: Option<String>,
    next: Option<String>,
    /// The target of the form that replays several batches; `None` if the user may not replay.
    replay: Option<String>,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        if let Some(id) = visit.query("id") {
            let path = format!("{PATH}/{}", segment(id.trim()));
            return Ok(PageReply::SeeOther(path));
        }

        let filter = batch_filter(visit)?;
        let after = batches::decode_cursor(&filter, visit.query("cursor"))?;
        let limit = visit.limit()?;
        let list = batches::list(visit.context, visit.principal, &filter, after, limit).await?;

        let form = FilterForm::of(visit);
        let links = ListLinks::of(visit, &form, list.next_cursor.as_deref());
        Ok(PageReply::View {
            title: "Batches".to_owned(),
            content: view(&list, filter.outcome, &form, &links),
        })
    })
}

impl ListLinks {
    fn of(visit: &Visit<'_>, form: &FilterForm, next: Option<&str>) -> Self {
        let link = |cursor: Option<&str>| {
            let own = [("limit", visit.query("limit")), ("cursor", cursor)];
            let parameters: Vec<_> = form.parameters().chain(own).collect();
            visit.link(&with_query(PATH, &parameters))
        };
        let replay = visit.principal.is_admin();
        Self {
            list: visit.link(PATH),
            first: visit.query("cursor").map(|_| link(None)),
            next: next.map(|next| link(Some(next))),
            replay: replay.then(|| visit.link("batches/replay")),
        }
    }
}

fn view(list: &BatchList, outcome: ListedOutcome, form: &FilterForm, links: &ListLinks) -> Markup {
    html! {
        (filter::view(form, &links.list))
        @if list.batches.is_empty() {
            p.empty { (empty(outcome, links)) }
        } @else if let Some(replay) = &links.replay {
            form method="post" action=(replay) {
                (table(list, links))
                (replay_buttons("the selected batches"))
            }
        } @else {
            (table(list, links))
        }
        (pager(links.first.as_deref(), links.next.as_deref()))
        (search(links))
    }
}

/// Returns the buttons that replay batches, or show what a replay would do.
pub(super) fn replay_buttons(what: &str) -> Markup {
    html! {
        div.buttons {
            button.primary type="submit" name="dry_run" value="yes" { "Dry run of " (what) }
            button type="submit" name="dry_run" value="no" { "Replay " (what) }
        }
    }
}

fn empty(outcome: ListedOutcome, links: &ListLinks) -> &'static str {
    match outcome {
        // The work of a request is bounded, so a page may be empty and not be the last one.
        _ if links.next.is_some() => "This page has no batches that match. Continue with the next.",
        ListedOutcome::Error => "No batch has a rejected item.",
        ListedOutcome::Conflict => "No batch has an item that conflicts.",
        ListedOutcome::Unanswered => "Every batch has results.",
    }
}

fn table(list: &BatchList, links: &ListLinks) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Batches" {
            table.list {
                thead {
                    tr {
                        @if links.replay.is_some() { th scope="col" { "Select" } }
                        th scope="col" { "Batch" }
                        th scope="col" { "User" }
                        th scope="col" { "Device" }
                        th scope="col" { "Processed (UTC)" }
                        th scope="col" { "Received (UTC)" }
                        th scope="col" { "Errors" }
                        th scope="col" { "Conflicts" }
                    }
                }
                tbody {
                    @for batch in &list.batches { (row(batch, links)) }
                }
            }
        }
    }
}

fn row(batch: &ListedBatchBody, links: &ListLinks) -> Markup {
    let short = short_id(&batch.batch_id);

    html! {
        tr {
            @if links.replay.is_some() {
                td {
                    label.check {
                        input type="checkbox" name="batch_id" value=(batch.batch_id);
                        span.unseen { "Select the batch " (short) }
                    }
                }
            }
            th scope="row" {
                a href={ (links.list) "/" (segment(&batch.batch_id)) } { (short) }
            }
            td { (name(&batch.user)) }
            td { (name(&batch.device_id)) }
            td { (optional_time(batch.processed_at)) }
            td { (optional_time(batch.received_at)) }
            td { (batch.errors) }
            td { (batch.conflicts) }
        }
    }
}

/// Returns the part of a batch id that distinguishes the batches of a device, shortened.
pub(super) fn short_id(id: &str) -> &str {
    let unique = id.rsplit('-').next().unwrap_or(id);
    unique.get(..8).unwrap_or(unique)
}

/// Returns the form that opens a batch by its id.
fn search(links: &ListLinks) -> Markup {
    html! {
        section aria-labelledby="search" {
            h2 #search { "Open a batch" }
            form.filter method="get" action=(links.list) {
                label {
                    span { "Id of the batch" }
                    input type="text" name="id" required autocomplete="off";
                }
                div.buttons { button type="submit" { "Open" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\"><img src=x onerror=alert(1)>";

    fn batch(text: &str) -> ListedBatchBody {
        ListedBatchBody {
            batch_id: format!("batch-{text}-0123456789abcdef"),
            user: text.into(),
            device_id: text.into(),
            received_at: None,
            processed_at: chrono::DateTime::from_timestamp(1_769_850_725, 0),
            errors: 17,
            conflicts: 0,
        }
    }

    fn page(batches: Vec<ListedBatchBody>, may_replay: bool, has_next: bool) -> String {
        let links = ListLinks {
            list: "./batches".into(),
            first: None,
            next: has_next.then(|| "./batches?cursor=c".into()),
            replay: may_replay.then(|| "./batches/replay".into()),
        };
        let list = BatchList {
            batches,
            next_cursor: None,
        };
        let form = FilterForm::with_user(HOSTILE);
        view(&list, ListedOutcome::Error, &form, &links).into_string()
    }

    #[test]
    fn batches_are_shown_with_their_failures() {
        let page = page(vec![batch("ana")], true, true);
        for text in [
            "href=\"./batches/batch-ana-0123456789abcdef\">01234567</a>",
            "<td>17</td>",
            "name=\"batch_id\" value=\"batch-ana-0123456789abcdef\"",
            "href=\"./batches?cursor=c\" rel=\"next\"",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }

    #[test]
    fn viewer_sees_no_actions() {
        let page = page(vec![batch("ana")], false, false);
        assert!(!page.contains("checkbox") && !page.contains("method=\"post\""));
    }

    #[test]
    fn texts_are_no_markup() {
        let page = page(vec![batch(HOSTILE)], true, false);
        assert!(!page.contains("<img"), "{page}");
    }

    #[test]
    fn empty_page_may_have_a_next_one() {
        assert!(page(vec![], true, false).contains("No batch has a rejected item."));
        assert!(page(vec![], true, true).contains("Continue with the next."));
    }
}
