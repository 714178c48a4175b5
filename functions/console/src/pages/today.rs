//! The page Today: how many conflicts are open, which batches were rejected or have no results, and
//! what was resolved last.

use chrono::{DateTime, Duration, Utc};
use maud::{Markup, html};
use tidemark_app::{audit, batches, conflicts};
use tidemark_aws::{Error, tables::audit_log::AuditOrder};
use tidemark_core::{
    model::{
        batch::{BatchFilter, ListedOutcome},
        conflict::ListOrder,
        limits::LIST_DEFAULT,
    },
    wire::{
        audit::AuditEntryBody,
        batches::BatchList,
        conflicts::{ConflictSummaryResponse, OpenConflictsEntry},
    },
};

use super::conflicts::{LIST, ListQuery, path_of, words};
use crate::{
    elements,
    page::{PageReply, Serving, Visit},
    text,
};

/// The number of the newest entries of the audit log among which resolutions are listed.
const ENTRIES: usize = 20;

/// The hours for which batches are counted.
const BATCH_HOURS: i64 = 24;

/// What the page shows.
struct TodayView {
    summary: ConflictSummaryResponse,
    /// The newest batches with rejected items, and those without results.
    batches: [(ListedOutcome, BatchList); 2],
    /// The newest entries of the audit log.
    entries: Vec<AuditEntryBody>,
}

pub(super) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let (context, principal) = (visit.context, visit.principal);
        let (summary, rejected, unanswered, audit) = tokio::try_join!(
            conflicts::summary(context, principal),
            list(visit, ListedOutcome::Error),
            list(visit, ListedOutcome::Unanswered),
            audit::list(context, principal, AuditOrder::Newest, None, ENTRIES),
        )?;

        let today = TodayView {
            summary,
            batches: [
                (ListedOutcome::Error, rejected),
                (ListedOutcome::Unanswered, unanswered),
            ],
            entries: audit.entries,
        };
        Ok(PageReply::View {
            title: "Today".to_owned(),
            content: view(&today, |path| visit.link(path)),
        })
    })
}

/// Lists the newest batches of the last hours with this outcome.
async fn list(visit: &Visit<'_>, outcome: ListedOutcome) -> Result<BatchList, Error> {
    let filter = BatchFilter {
        outcome,
        order: ListOrder::Newest,
        user: None,
        device_id: None,
        from: Some(visit.context.clock.now() - Duration::hours(BATCH_HOURS)),
        until: None,
    };
    batches::list(visit.context, visit.principal, &filter, None, LIST_DEFAULT).await
}

fn view(today: &TodayView, link: impl Fn(&str) -> String) -> Markup {
    html! {
        section aria-labelledby="open" {
            h2 #open { "Open conflicts" }
            (open(&today.summary, &link))
        }
        section aria-labelledby="batches" {
            h2 #batches { "Batches of the last 24 hours" }
            dl.facts {
                @for (outcome, list) in &today.batches {
                    (counted(*outcome, list, today.summary.as_of, &link))
                }
            }
        }
        section aria-labelledby="last" {
            h2 #last { "Last resolutions" }
            (resolutions(&today.entries, &link))
        }
    }
}

/// Returns the number of batches with an outcome, with a link to their list.
fn counted(
    outcome: ListedOutcome,
    list: &BatchList,
    as_of: DateTime<Utc>,
    link: &impl Fn(&str) -> String,
) -> Markup {
    let name = match outcome {
        ListedOutcome::Error => "With rejected items",
        ListedOutcome::Conflict => "With conflicts",
        ListedOutcome::Unanswered => "Without results",
    };
    let from = (as_of - Duration::hours(BATCH_HOURS))
        .format("%Y-%m-%dT%H:%M")
        .to_string();
    let parameters = [("outcome", Some(outcome.as_str())), ("from", Some(&*from))];

    html! {
        dt { (name) }
        dd {
            a href=(link(&elements::with_query("batches", &parameters))) {
                @if list.next_cursor.is_some() { "at least " }
                (list.batches.len())
            }
        }
    }
}

/// Returns the number of open conflicts, with links to the lists of each type and reason.
fn open(summary: &ConflictSummaryResponse, link: &impl Fn(&str) -> String) -> Markup {
    let open = &summary.open;
    let Some(oldest_at) = open.oldest_at else {
        return html! { p.empty { "No conflict is open." } };
    };
    let age = (summary.as_of - oldest_at).num_seconds();
    html! {
        p {
            a href=(link(LIST)) {
                @if open.has_more { "More than " }
                @match open.count {
                    1 => { "1 conflict" },
                    count => { (count) " conflicts" },
                }
            }
            "; the oldest is " (elements::duration(age)) " old (" (text::time(oldest_at)) " UTC)."
        }
        (groups(open, link))
    }
}

fn groups(open: &OpenConflictsEntry, link: &impl Fn(&str) -> String) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Open conflicts by type and reason" {
            table {
                thead {
                    tr {
                        th scope="col" { "Type" }
                        th scope="col" { "Reason" }
                        th scope="col" { "Conflicts" }
                    }
                }
                tbody {
                    @for group in &open.by {
                        @let query = ListQuery::default()
                            .with("type", &group.resource_type)
                            .with("code", group.code.as_str());
                        tr {
                            th scope="row" { (text::name(&group.resource_type)) }
                            td { (words::code(group.code)) }
                            td { a href=(link(&query.path(LIST, &[]))) { (group.count) } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the resolutions among the entries of the audit log.
fn resolutions(entries: &[AuditEntryBody], link: &impl Fn(&str) -> String) -> Markup {
    let resolved: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.conflict_id.as_deref()?)))
        .collect();
    html! {
        @if resolved.is_empty() {
            p.empty { "No conflict was resolved lately." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Last resolutions" {
                table.list {
                    thead {
                        tr {
                            th scope="col" { "Resource" }
                            th scope="col" { "Resolved (UTC)" }
                            th scope="col" { "By" }
                            th scope="col" { "Resolution" }
                            th scope="col" { "Note" }
                        }
                    }
                    tbody {
                        @for (entry, conflict_id) in resolved {
                            (resolution(entry, &link(&path_of(conflict_id, ""))))
                        }
                    }
                }
            }
        }
    }
}

fn resolution(entry: &AuditEntryBody, href: &str) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(href) {
                    (text::name(entry.resource_type.as_deref().unwrap_or_default())) " "
                    (text::name(entry.resource_id.as_deref().unwrap_or_default()))
                }
            }
            td { (text::time(entry.at)) }
            td { (text::name(&entry.by)) }
            td { (entry.resolution.map_or("", words::resolution)) }
            td { (elements::optional_name(entry.note.as_deref())) }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tidemark_core::{
        model::{
            audit::{AuditAction, Via},
            resolution::Resolution,
            result::ItemCode,
        },
        wire::conflicts::ConflictCountEntry,
    };

    use super::*;

    fn summary(count: usize, has_more: bool) -> ConflictSummaryResponse {
        let at = |second| DateTime::from_timestamp(second, 0).expect("a time");
        ConflictSummaryResponse {
            as_of: at(7200),
            open: OpenConflictsEntry {
                count,
                has_more,
                oldest_at: (count > 0).then(|| at(0)),
                by: vec![ConflictCountEntry {
                    resource_type: "meter".into(),
                    code: ItemCode::IdTaken,
                    count,
                }],
            },
        }
    }

    fn entry(conflict_id: Option<&str>) -> AuditEntryBody {
        AuditEntryBody {
            id: "1".into(),
            at: DateTime::UNIX_EPOCH,
            action: AuditAction::ConflictResolved,
            by: "<img onerror=1>".into(),
            via: Via::Api,
            user: "ana".into(),
            device_id: "phone".into(),
            batch_id: None,
            bulk_id: None,
            runs_as: None,
            resources: vec![],
            conflict_id: conflict_id.map(Into::into),
            channel: Some("tenant".into()),
            resource_type: Some("meter".into()),
            resource_id: Some("m-\u{202e}1".into()),
            resolution: Some(Resolution::AcceptServer),
            note: Some("<b>why</b>".into()),
            before: None,
            after: None,
        }
    }

    fn shown(summary: ConflictSummaryResponse, entries: Vec<AuditEntryBody>) -> String {
        let list = |next_cursor| BatchList {
            batches: vec![],
            next_cursor,
        };
        let today = TodayView {
            summary,
            batches: [
                (ListedOutcome::Error, list(Some("next".into()))),
                (ListedOutcome::Unanswered, list(None)),
            ],
            entries,
        };
        view(&today, |path| format!("./{path}")).into_string()
    }

    #[test]
    fn groups_lead_to_filtered_lists() {
        let page = shown(summary(3, true), vec![]);
        for text in [
            "More than 3 conflicts",
            "2 h old",
            "href=\"./conflicts?type=meter&amp;code=id_taken\">3</a>",
            "No conflict was resolved lately.",
            "href=\"./batches?outcome=error&amp;from=1969-12-31T02%3A00\">at least 0</a>",
            "href=\"./batches?outcome=unanswered&amp;from=1969-12-31T02%3A00\">0</a>",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }

    #[test]
    fn resolutions_are_shown_as_text() {
        let page = shown(summary(0, false), vec![entry(Some("c-1")), entry(None)]);
        for text in [
            "No conflict is open.",
            "href=\"./conflicts/c-1\"",
            "m-[U+202E]1",
            "&lt;b&gt;why&lt;/b&gt;",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        assert!(!page.contains("<img") && !page.contains("<b>"), "{page}");
        assert_eq!(page.matches("<th scope=\"row\">").count(), 1, "{page}");
    }
}
