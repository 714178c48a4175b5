//! The page Audit: who did what, and what it changed. The entries of a page are also a file.

mod change;
mod words;

use maud::{Markup, html};
use tidemark_app::audit;
use tidemark_aws::{Error, tables::audit_log::AuditOrder};
use tidemark_core::{
    model::time::timestamp,
    wire::{
        audit::{AuditEntryBody, AuditList},
        problem::Problem,
    },
};

use crate::{
    csv::CsvFile,
    elements::{none, optional_name, pager, segment, with_query},
    page::{PageReply, Serving, Visit},
    text::{name, time},
};

use change::{Change, ContentRoom};

/// The path of the page.
const PATH: &str = "audit";
/// The path of the file.
const FILE: &str = "audit.csv";

/// What the query of the page requests.
struct AuditQuery {
    order: AuditOrder,
    limit: usize,
    cursor: Option<String>,
}

/// The links of the page.
struct AuditLinks {
    newest: String,
    oldest: String,
    /// The first page, if another one is shown.
    first: Option<String>,
    next: Option<String>,
    file: String,
    conflicts: String,
    batches: String,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let query = AuditQuery::of(visit)?;
        let list = load(visit, &query).await?;
        let links = AuditLinks::of(visit, &query, list.next_cursor.as_deref());
        Ok(PageReply::View {
            title: "Audit".to_owned(),
            content: view(&list.entries, query.order, &links),
        })
    })
}

/// Serves the entries of one page as a file.
pub(crate) fn serve_file<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let list = load(visit, &AuditQuery::of(visit)?).await?;
        Ok(PageReply::File(file(&list.entries)))
    })
}

async fn load(visit: &Visit<'_>, query: &AuditQuery) -> Result<AuditList, Error> {
    let after = audit::decode_cursor(query.order, query.cursor.as_deref())?;
    let list = audit::list(
        visit.context,
        visit.principal,
        query.order,
        after,
        query.limit,
    );
    list.await
}

impl AuditQuery {
    fn of(visit: &Visit<'_>) -> Result<Self, Problem> {
        let order = match visit.query("order") {
            None | Some("newest") => AuditOrder::Newest,
            Some("oldest") => AuditOrder::Oldest,
            Some(_) => return Err(Problem::malformed("order", "must be newest or oldest")),
        };
        Ok(Self {
            order,
            limit: visit.limit()?,
            cursor: visit.query("cursor").map(ToOwned::to_owned),
        })
    }
}

impl AuditLinks {
    fn of(visit: &Visit<'_>, query: &AuditQuery, next: Option<&str>) -> Self {
        let limit = visit.query("limit");
        let link = |path: &str, order: AuditOrder, cursor: Option<&str>| {
            let order = match order {
                AuditOrder::Newest => None,
                AuditOrder::Oldest => Some("oldest"),
            };
            let parameters = [("order", order), ("limit", limit), ("cursor", cursor)];
            visit.link(&with_query(path, &parameters))
        };

        let cursor = query.cursor.as_deref();
        Self {
            newest: link(PATH, AuditOrder::Newest, None),
            oldest: link(PATH, AuditOrder::Oldest, None),
            first: cursor.map(|_| link(PATH, query.order, None)),
            next: next.map(|next| link(PATH, query.order, Some(next))),
            file: link(FILE, query.order, cursor),
            conflicts: visit.link("conflicts"),
            batches: visit.link("batches"),
        }
    }
}

fn view(entries: &[AuditEntryBody], order: AuditOrder, links: &AuditLinks) -> Markup {
    let is_current = |own: AuditOrder| (own == order).then_some("true");
    let mut room = ContentRoom::default();

    html! {
        nav.toolbar aria-label="Order" {
            a href=(links.newest) aria-current=[is_current(AuditOrder::Newest)] { "Newest first" }
            a href=(links.oldest) aria-current=[is_current(AuditOrder::Oldest)] { "Oldest first" }
            a href=(links.file) { "This page as CSV, without contents" }
        }
        @if entries.is_empty() {
            p.empty { (empty(links)) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Audit log" {
                table.list {
                    thead {
                        tr {
                            th scope="col" { "Time (UTC)" }
                            th scope="col" { "Actor" }
                            th scope="col" { "Action" }
                            th scope="col" { "About" }
                            th scope="col" { "Device" }
                            th scope="col" { "Note" }
                            th scope="col" { "Change" }
                        }
                    }
                    tbody {
                        @for entry in entries { (row(entry, links, &mut room)) }
                    }
                }
            }
        }
        (pager(links.first.as_deref(), links.next.as_deref()))
    }
}

fn empty(links: &AuditLinks) -> &'static str {
    match links.first {
        Some(_) => "There are no further entries.",
        None => "No resolution, replay, correction or repair was recorded yet.",
    }
}

fn row(entry: &AuditEntryBody, links: &AuditLinks, room: &mut ContentRoom) -> Markup {
    let change = Change::of(entry.before.as_deref(), entry.after.as_deref(), room);

    html! {
        tr {
            td { (time(entry.at)) }
            td {
                (name(&entry.by))
                @if let Some(interface) = words::interface(entry.via) {
                    " " span.none { (interface) }
                }
            }
            td {
                (words::action(entry.action))
                @if let Some(resolution) = entry.resolution {
                    ": " (words::resolution(resolution))
                }
                @if entry.bulk_id.is_some() { " " span.none { "(one of several)" } }
            }
            td { (subject(entry, links)) }
            td {
                @if entry.device_id.is_empty() {
                    (none())
                } @else {
                    (name(&entry.device_id)) " of " (name(&entry.user))
                }
            }
            td { (optional_name(entry.note.as_deref())) }
            td { (change::view(&change)) }
        }
    }
}

/// Returns what an entry is about: the resources, and links to the conflict and the batch.
fn subject(entry: &AuditEntryBody, links: &AuditLinks) -> Markup {
    let below = |path: &str, id: &str| format!("{path}/{}", segment(id));

    html! {
        @if let (Some(kind), Some(id)) = (&entry.resource_type, &entry.resource_id) {
            div { code { (name(kind)) } " " (name(id)) }
        }
        @if let Some(channel) = &entry.channel {
            div { "in " (name(channel)) }
        }
        @for resource in &entry.resources {
            div {
                code { (name(&resource.resource_type)) } " " (name(&resource.resource_id))
                " in " (name(&resource.channel))
                @if resource.deleted { ", deleted" }
            }
        }
        @if let Some(id) = &entry.conflict_id {
            div { a href=(below(&links.conflicts, id)) { "the conflict" } }
        }
        @if let Some(id) = &entry.batch_id {
            div { a href=(below(&links.batches, id)) { "the batch" } }
        }
    }
}

/// Returns the entries as a file. It has no contents, so that its size is bounded.
fn file(entries: &[AuditEntryBody]) -> CsvFile {
    let columns = [
        "id",
        "at",
        "by",
        "via",
        "action",
        "resolution",
        "user",
        "device_id",
        "channel",
        "resource_type",
        "resource_id",
        "conflict_id",
        "batch_id",
        "bulk_id",
        "note",
    ];

    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let row = |entry: &AuditEntryBody| {
        [
            entry.id.clone(),
            timestamp(entry.at),
            entry.by.clone(),
            entry.via.to_string(),
            entry.action.to_string(),
            entry
                .resolution
                .map_or_else(String::new, |it| it.to_string()),
            entry.user.clone(),
            entry.device_id.clone(),
            optional(&entry.channel),
            optional(&entry.resource_type),
            optional(&entry.resource_id),
            optional(&entry.conflict_id),
            optional(&entry.batch_id),
            optional(&entry.bulk_id),
            optional(&entry.note),
        ]
    };
    CsvFile::new("audit.csv", columns, entries.iter().map(row))
}

#[cfg(test)]
mod tests;
