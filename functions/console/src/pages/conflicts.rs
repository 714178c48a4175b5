//! The page Conflicts: the conflicts that meet the filter in the address, as a list and as a file,
//! and the resolution of several of them in the same way.

mod bulk;
mod file;
mod form;
mod preview;
mod query;
mod selection;
mod table;
pub(in crate::pages) mod words;

use lambda_http::http::StatusCode;
use maud::{Markup, html};
use tidemark_app::conflicts;
use tidemark_aws::Error;
use tidemark_core::{
    model::{catalog::Catalog, conflict::ConflictFilter, limits::BULK_CONFLICTS_MAX},
    wire::conflicts::ConflictList,
};

use crate::page::{PageReply, Serving, Visit};

pub(super) use bulk::serve as serve_bulk;
pub(super) use file::serve as serve_file;
pub(in crate::pages) use query::ListQuery;

use query::InvalidParameter;

/// The path of the list.
pub(in crate::pages) const LIST: &str = "conflicts";
/// The title of the list.
const TITLE: &str = "Conflicts";

/// Returns a reference to a page of the console by its path.
type Link<'l> = &'l dyn Fn(&str) -> String;

pub(super) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let query = ListQuery::read(|name| visit.query(name));
        let filter = query.filter();
        let list = match &filter {
            Ok(filter) => Some(read(visit, filter, BULK_CONFLICTS_MAX).await?),
            Err(_) => None,
        };

        let content = view(&ListView {
            query: &query,
            catalog: &visit.context.settings.catalog,
            list: list.as_ref(),
            invalid: filter.as_ref().err().map_or(&[], Vec::as_slice),
            cursor: visit.query("cursor").unwrap_or_default(),
            is_selected: visit.query("select") == Some("all"),
            may_resolve: visit.principal.is_admin(),
            link: &|path| visit.link(path),
        });
        let title = TITLE.to_owned();
        Ok(match list {
            Some(_) => PageReply::View { title, content },
            None => PageReply::Rejected {
                status: StatusCode::BAD_REQUEST,
                title,
                content,
            },
        })
    })
}

/// Returns the path of a conflict, which refers back to the list with this encoded query.
pub(in crate::pages) fn path_of(id: &str, list: &str) -> String {
    if list.is_empty() {
        return format!("{LIST}/{id}");
    }
    let list: String = form_urlencoded::byte_serialize(list.as_bytes()).collect();
    format!("{LIST}/{id}?list={list}")
}

/// Reads a page of the list with at most `limit` conflicts.
async fn read(
    visit: &Visit<'_>,
    filter: &ConflictFilter,
    limit: usize,
) -> Result<ConflictList, Error> {
    let after = conflicts::decode_cursor(filter, visit.query("cursor"))?;
    let (context, principal) = (visit.context, visit.principal);
    conflicts::list(context, principal, filter, after.as_ref(), limit).await
}

/// What the page shows.
struct ListView<'v> {
    query: &'v ListQuery,
    catalog: &'v Catalog,
    /// `None` if the filter is not possible.
    list: Option<&'v ConflictList>,
    invalid: &'v [InvalidParameter],
    /// The cursor of this page of the list; empty for the first page.
    cursor: &'v str,
    /// Whether all conflicts of the page are selected.
    is_selected: bool,
    may_resolve: bool,
    link: Link<'v>,
}

fn view(view: &ListView<'_>) -> Markup {
    let link = view.link;
    html! {
        @if !view.invalid.is_empty() { (form::errors(view.invalid)) }
        (form::filter_form(&link(LIST), view.query, view.catalog, view.invalid))
        @if let Some(list) = view.list {
            @if list.conflicts.is_empty() {
                (empty(list))
            } @else if view.may_resolve {
                form method="post" action=(link("conflicts/resolve")) {
                    input type="hidden" name="list" value=(view.query.encoded());
                    (selection(view))
                    (table::table(view, list))
                }
            } @else {
                (table::table(view, list))
            }
            (pages(view, list))
        }
    }
}

/// Returns the message of a page without conflicts. The next page may have some.
fn empty(list: &ConflictList) -> Markup {
    html! {
        @if list.next_cursor.is_some() {
            p.empty { "No conflict of this part of the list meets the filter." }
        } @else {
            p.empty { "No conflict meets the filter." }
        }
    }
}

/// Returns the buttons for the selected conflicts.
fn selection(view: &ListView<'_>) -> Markup {
    let here = |selected: &str| {
        let further = [("cursor", view.cursor), ("select", selected)];
        let further: Vec<_> = further
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        (view.link)(&view.query.path(LIST, &further))
    };
    html! {
        div.buttons {
            button type="submit" { "Resolve the selected…" }
            @if view.is_selected {
                a.button href=(here("")) { "Select none" }
            } @else {
                a.button href=(here("all")) { "Select all on this page" }
            }
        }
    }
}

/// Returns the links to other pages of the list and to its file.
fn pages(view: &ListView<'_>, list: &ConflictList) -> Markup {
    let path = |page: &str, further: &[(&str, &str)]| (view.link)(&view.query.path(page, further));
    html! {
        nav.pages aria-label="Pages of the list" {
            @if !view.cursor.is_empty() { a.button href=(path(LIST, &[])) { "First page" } }
            @if let Some(next) = &list.next_cursor {
                a.button href=(path(LIST, &[("cursor", next)])) rel="next" { "Next page" }
            }
            a.button href=(path(file::PATH, &[])) download="conflicts.csv" { "Download as CSV" }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::pages) use tests::entry;
