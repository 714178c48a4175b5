//! The page Status: the change logs of the tenant, the comparison of one of them with its
//! resources, and the number of dead letters. The user refreshes it with a link.

use maud::{Markup, html};
use tidemark_app::status;
use tidemark_aws::Error;
use tidemark_core::{
    model::channel::Channel,
    wire::{
        problem::Problem,
        status::{ChannelStatus, FailureCount, LogComparison, StatusResponse},
    },
};

use crate::{
    elements::{duration, none, optional_time, pager, with_query},
    page::{PageReply, Serving, Visit},
    text::{name, time},
};

/// The path of the page.
const PATH: &str = "status";

/// The links of the page.
struct StatusLinks {
    /// The same page again.
    refresh: String,
    /// The list of all channels, if one channel is shown.
    all: Option<String>,
    first: Option<String>,
    next: Option<String>,
    /// The page of each channel of the list, in its order.
    channels: Vec<String>,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let response = load(visit).await?;
        Ok(PageReply::View {
            title: "Status".to_owned(),
            content: view(&response, &StatusLinks::of(visit, &response)),
        })
    })
}

async fn load(visit: &Visit<'_>) -> Result<StatusResponse, Error> {
    let (context, principal) = (visit.context, visit.principal);
    let dead_letters = visit.buckets.dead_letters;
    let cursor = visit.query("cursor");

    let Some(channel) = visit.query("channel") else {
        let limit = visit.limit()?;
        let after = status::decode_cursor(cursor)?;
        return status::of_channels(context, dead_letters, principal, after, limit).await;
    };

    let channel = Channel::parse(channel).ok_or_else(|| {
        Problem::malformed("channel", "must be tenant, user/<sub> or group/<name>")
    })?;
    let after = status::decode_channel_cursor(principal, &channel, cursor)?;
    status::of_channel(context, dead_letters, principal, channel, after).await
}

impl StatusLinks {
    fn of(visit: &Visit<'_>, response: &StatusResponse) -> Self {
        let channel = visit.query("channel");
        let limit = ("limit", visit.query("limit"));
        let link = |channel: Option<&str>, cursor: Option<&str>| {
            let parameters = [("channel", channel), limit, ("cursor", cursor)];
            visit.link(&with_query(PATH, &parameters))
        };

        let cursor = visit.query("cursor");
        let channels = response.channels.iter();
        Self {
            refresh: link(channel, cursor),
            all: channel.map(|_| link(None, None)),
            first: cursor.map(|_| link(channel, None)),
            next: response
                .next_cursor
                .as_deref()
                .map(|next| link(channel, Some(next))),
            channels: channels
                .map(|status| link(Some(&status.channel), None))
                .collect(),
        }
    }
}

fn view(response: &StatusResponse, links: &StatusLinks) -> Markup {
    html! {
        nav.toolbar aria-label="Status" {
            span { "As of " (time(response.server_time)) " UTC" }
            a href=(links.refresh) { "Refresh" }
            @if let Some(all) = &links.all { a href=(all) { "All channels" } }
        }
        section aria-labelledby="channels" {
            h2 #channels { "Channels" }
            @if response.channels.is_empty() {
                p.empty { (empty(links)) }
            } @else {
                (channels(&response.channels, links))
            }
            (pager(links.first.as_deref(), links.next.as_deref()))
        }
        @for status in &response.channels {
            @if let Some(comparison) = &status.comparison { (compared(comparison)) }
        }
        section aria-labelledby="dead-letters" {
            h2 #dead-letters { "Dead letters of the deployment" }
            dl.facts {
                dt { "Records that could not be processed" }
                dd { (count(&response.set_aside)) }
                dt { "Batches of records that were discarded" }
                dd { (count(&response.given_up)) }
            }
        }
    }
}

const fn empty(links: &StatusLinks) -> &'static str {
    match links.first {
        Some(_) => "There are no further channels.",
        None => "No channel has a change log yet: no device has pushed anything.",
    }
}

fn channels(channels: &[ChannelStatus], links: &StatusLinks) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="channels" {
            table.list {
                thead {
                    tr {
                        th scope="col" { "Channel" }
                        th scope="col" { "Last change (UTC)" }
                        th scope="col" { "Age" }
                        th scope="col" { "Repaired (UTC)" }
                        th scope="col" { "Backlog" }
                    }
                }
                tbody {
                    @for (status, link) in channels.iter().zip(&links.channels) {
                        tr {
                            th scope="row" { (name(&status.channel)) }
                            td { (optional_time(status.head_moved_at)) }
                            td { (age(status.head_age_seconds)) }
                            td { (optional_time(status.repaired_at)) }
                            td { (backlog(status.comparison.as_ref(), link)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the number of changes that wait for the log, or a link to the comparison that counts
/// them.
fn backlog(comparison: Option<&LogComparison>, link: &str) -> Markup {
    html! {
        @match comparison {
            Some(comparison) => { (comparison.not_in_log) }
            None => { a href=(link) { "Compare" } }
        }
    }
}

fn age(seconds: Option<i64>) -> Markup {
    match seconds {
        Some(seconds) => html! { (duration(seconds)) },
        None => none(),
    }
}

fn compared(comparison: &LogComparison) -> Markup {
    html! {
        section aria-labelledby="comparison" {
            h2 #comparison { "Comparison with the resources" }
            dl.facts {
                dt { "Resources on this page" } dd { (comparison.resources) }
                dt { "Changes that the log lacks" } dd { (comparison.not_in_log) }
                dt { "Oldest of them" }
                dd {
                    (optional_time(comparison.oldest_not_in_log_at))
                    @if let Some(seconds) = comparison.oldest_not_in_log_seconds {
                        ", " (duration(seconds)) " ago"
                    }
                }
                dt { "Complete" }
                dd {
                    @if comparison.is_complete { "yes" } @else {
                        "no: the log was not read far enough, so it may lack more changes"
                    }
                }
            }
        }
    }
}

fn count(failures: &FailureCount) -> Markup {
    html! {
        (failures.objects)
        @if failures.has_more { " or more" }
        @if let Some(oldest) = failures.oldest_at { ", the oldest of " (time(oldest)) " UTC" }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_769_850_725, 0).expect("a time")
    }

    fn channel(name: &str) -> ChannelStatus {
        ChannelStatus {
            channel: name.into(),
            head_moved_at: Some(at()),
            head_age_seconds: Some(3_700),
            repaired_at: None,
            comparison: None,
        }
    }

    fn page(channels: Vec<ChannelStatus>) -> String {
        let links = StatusLinks {
            refresh: "./status?cursor=b".into(),
            all: None,
            first: None,
            next: Some("./status?cursor=c".into()),
            channels: vec!["./status?channel=a".into(); channels.len()],
        };
        let response = StatusResponse {
            server_time: at(),
            channels,
            next_cursor: None,
            set_aside: FailureCount {
                objects: 1000,
                has_more: true,
                oldest_at: Some(at()),
            },
            given_up: FailureCount::default(),
        };
        view(&response, &links).into_string()
    }

    #[test]
    fn channels_and_dead_letters_are_shown() {
        let hostile = channel("group/<img src=x onerror=alert(1)>\u{202e}");
        let page = page(vec![channel("tenant"), hostile]);
        assert!(!page.contains("<img"), "{page}");
        for text in [
            "<bdi>tenant</bdi>",
            "[U+202E]",
            "1 h 1 min",
            "1000 or more, the oldest of",
            "<a href=\"./status?channel=a\">Compare</a>",
            "<a href=\"./status?cursor=b\">Refresh</a>",
            "href=\"./status?cursor=c\" rel=\"next\"",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }

    #[test]
    fn comparison_shows_the_backlog() {
        let comparison = LogComparison {
            resources: 7,
            not_in_log: 3,
            oldest_not_in_log_at: Some(at()),
            oldest_not_in_log_seconds: Some(90),
            is_complete: false,
        };
        let compared = ChannelStatus {
            comparison: Some(comparison),
            ..channel("tenant")
        };
        let page = page(vec![compared]);
        for text in ["<td>3</td>", "1 min 30 s ago", "may lack more changes"] {
            assert!(page.contains(text), "{text} in {page}");
        }
        assert!(!page.contains(">Compare<"), "{page}");
    }

    #[test]
    fn tenant_without_channels_has_a_message() {
        let page = page(Vec::new());
        assert!(page.contains("class=\"empty\"") && !page.contains("<table"));
    }
}
