//! The page Devices: which devices exist, when they were seen, and how far they lag behind.

use maud::{Markup, html};
use tidemark_app::devices;
use tidemark_aws::Error;
use tidemark_core::wire::ack::{ChannelState, DeviceState, DevicesResponse};

use crate::{
    elements::{duration, optional_name, pager, with_query},
    page::{PageReply, Serving, Visit},
    text::{name, time},
};

/// The path of the page.
const PATH: &str = "devices";
/// The maximum number of devices of a page. Each has up to a hundred channels.
const DEVICES_MAX: usize = 25;
/// The number of channels that are shown without a further click.
const CHANNELS_SHOWN: usize = 3;

/// The filter of the page, and its links.
struct DeviceLinks {
    user: String,
    /// The list without a filter.
    list: String,
    first: Option<String>,
    next: Option<String>,
    conflicts: String,
    batches: String,
}

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let user = visit.name_of("user")?;
        let response = load(visit, user.as_deref()).await?;
        let links = DeviceLinks::of(visit, user, response.next_cursor.as_deref());
        Ok(PageReply::View {
            title: "Devices".to_owned(),
            content: view(&response.devices, &links),
        })
    })
}

async fn load(visit: &Visit<'_>, user: Option<&str>) -> Result<DevicesResponse, Error> {
    let (context, principal) = (visit.context, visit.principal);
    let limit = visit.limit()?.min(DEVICES_MAX);
    match user {
        Some(user) => {
            let after = visit.name_of("cursor")?;
            devices::of_user(context, principal, Some(user), after.as_deref(), limit).await
        }
        None => {
            let after = devices::decode_cursor(visit.query("cursor"))?;
            devices::of_tenant(context, principal, after, limit).await
        }
    }
}

impl DeviceLinks {
    fn of(visit: &Visit<'_>, user: Option<String>, next: Option<&str>) -> Self {
        let limit = visit.query("limit");
        let link = |cursor: Option<&str>| {
            let parameters = [
                ("user", user.as_deref()),
                ("limit", limit),
                ("cursor", cursor),
            ];
            visit.link(&with_query(PATH, &parameters))
        };
        Self {
            list: visit.link(PATH),
            first: visit.query("cursor").map(|_| link(None)),
            next: next.map(|next| link(Some(next))),
            conflicts: visit.link("conflicts"),
            batches: visit.link("batches"),
            user: user.unwrap_or_default(),
        }
    }
}

fn view(devices: &[DeviceState], links: &DeviceLinks) -> Markup {
    html! {
        form.filter method="get" action=(links.list) role="search" aria-label="Filter" {
            label {
                span { "User" }
                input type="text" name="user" value=(links.user) dir="auto" maxlength="256"
                    autocomplete="off";
            }
            div.buttons {
                button.primary type="submit" { "Filter" }
                a.button href=(links.list) { "Reset" }
            }
        }
        @if devices.is_empty() {
            p.empty { (empty(links)) }
        } @else {
            (table(devices, links))
        }
        (pager(links.first.as_deref(), links.next.as_deref()))
    }
}

const fn empty(links: &DeviceLinks) -> &'static str {
    match links.first {
        Some(_) => "There are no further devices.",
        None if links.user.is_empty() => "No device has acknowledged changes yet.",
        None => "No device of this user has acknowledged changes.",
    }
}

fn table(devices: &[DeviceState], links: &DeviceLinks) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Devices" {
            table.list {
                thead {
                    tr {
                        th scope="col" { "User" }
                        th scope="col" { "Device" }
                        th scope="col" { "App version" }
                        th scope="col" { "Last seen (UTC)" }
                        th scope="col" { "Channels" }
                        th scope="col" { "Conflicts" }
                        th scope="col" { "Batches" }
                    }
                }
                tbody {
                    @for device in devices { (row(device, links)) }
                }
            }
        }
    }
}

fn row(device: &DeviceState, links: &DeviceLinks) -> Markup {
    let (user, id) = (Some(&*device.user), Some(&*device.device_id));
    let of_device = [("user", user), ("device_id", id)];
    html! {
        tr {
            td { (name(&device.user)) }
            th scope="row" { (name(&device.device_id)) }
            td { (optional_name(device.app_version.as_deref())) }
            td { (time(device.last_seen)) }
            td { (channels(&device.channels)) }
            td { (conflicts(device, &with_query(&links.conflicts, &of_device))) }
            td { a href=(with_query(&links.batches, &of_device)) { "Rejected batches" } }
        }
    }
}

/// Returns the lag of each channel. A device with many channels has a summary, which the user
/// opens.
fn channels(channels: &[ChannelState]) -> Markup {
    let behind = channels.iter().filter(|channel| !channel.caught_up).count();
    let list = html! {
        ul.plain {
            @for channel in channels {
                li { (name(&channel.channel)) ": " (lag(channel)) }
            }
        }
    };
    html! {
        @if channels.len() <= CHANNELS_SHOWN {
            (list)
        } @else {
            details {
                summary { (channels.len()) " channels, " (behind) " not up to date" }
                (list)
            }
        }
    }
}

fn lag(channel: &ChannelState) -> String {
    match (channel.caught_up, channel.lag_seconds) {
        (true, _) => "up to date".to_owned(),
        (false, Some(seconds)) => format!("up to {} behind", duration(seconds)),
        (false, None) => "first snapshot not complete".to_owned(),
    }
}

fn conflicts(device: &DeviceState, link: &str) -> Markup {
    let counted = &device.conflicts;
    let more = if counted.has_more { " or more" } else { "" };
    html! {
        a href=(link) { (counted.open) (more) " open" }
        @if counted.unacknowledged > 0 {
            br;
            (counted.unacknowledged) (more) " resolved, not yet on the device"
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tidemark_core::wire::ack::DeviceConflicts;

    use super::*;

    fn links(user: &str) -> DeviceLinks {
        DeviceLinks {
            user: user.into(),
            list: "./devices".into(),
            first: None,
            next: Some("./devices?cursor=c".into()),
            conflicts: "./conflicts".into(),
            batches: "./batches".into(),
        }
    }

    fn device(id: &str, lags: &[Option<i64>]) -> DeviceState {
        let at = DateTime::from_timestamp(1_769_850_725, 0).expect("a time");
        let channel = |lag: &Option<i64>| ChannelState {
            channel: format!("group/{id}"),
            applied_until: None,
            caught_up: *lag == Some(0),
            lag_seconds: *lag,
        };
        DeviceState {
            device_id: id.into(),
            user: id.into(),
            first_seen: at,
            last_seen: at,
            app_version: Some(id.into()),
            channels: lags.iter().map(channel).collect(),
            conflicts: DeviceConflicts {
                open: 2,
                unacknowledged: 1,
                has_more: true,
            },
        }
    }

    #[test]
    fn devices_are_shown_with_lag_and_conflicts() {
        let device = device("a&b", &[Some(0), Some(90), None]);
        let page = view(&[device], &links("")).into_string();
        for text in [
            "<bdi>a&amp;b</bdi>",
            "up to date",
            "up to 1 min 30 s behind",
            "first snapshot not complete",
            "href=\"./conflicts?user=a%26b&amp;device_id=a%26b\">2 or more open</a>",
            "1 or more resolved, not yet on the device",
            "href=\"./batches?user=a%26b&amp;device_id=a%26b\"",
            "href=\"./devices?cursor=c\" rel=\"next\"",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }

    #[test]
    fn many_channels_are_summarized() {
        let device = device("a", &[Some(0), Some(90), None, None]);
        let page = view(&[device], &links("")).into_string();
        let summary = "<summary>4 channels, 3 not up to date</summary>";
        assert!(page.contains(summary), "{page}");
    }

    #[test]
    fn texts_are_no_markup() {
        let hostile = "\"><img src=x onerror=alert(1)>";
        let page = view(&[device(hostile, &[Some(1)])], &links(hostile)).into_string();
        assert!(!page.contains("<img"), "{page}");
        assert!(page.contains("value=\"&quot;&gt;&lt;img src=x"), "{page}");
    }

    #[test]
    fn empty_lists_have_messages() {
        for (user, message) in [("", "No device has"), ("ana", "No device of this user")] {
            let page = view(&[], &links(user)).into_string();
            assert!(page.contains(message) && !page.contains("<table"));
        }
    }
}
