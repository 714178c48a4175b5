//! The page Catalog: the types of the deployment, their policies, the bounds and the retention.

use maud::{Markup, html};
use tidemark_app::limits;
use tidemark_core::{
    model::catalog::{Catalog, DefaultChannel, Policy, ResourceType},
    wire::limits::LimitsResponse,
};

use crate::page::{PageReply, Serving, Visit};

pub(crate) fn serve<'a>(visit: &'a Visit<'a>) -> Serving<'a> {
    Box::pin(async move {
        let settings = &visit.context.settings;
        Ok(PageReply::View {
            title: "Catalog".to_owned(),
            content: view(&settings.catalog, &limits::limits(settings)),
        })
    })
}

fn view(catalog: &Catalog, limits: &LimitsResponse) -> Markup {
    html! {
        section aria-labelledby="types" {
            h2 #types { "Types" }
            (types(catalog))
        }
        section aria-labelledby="retention" {
            h2 #retention { "Retention" }
            (facts(&retention(limits)))
        }
        section aria-labelledby="bounds" {
            h2 #bounds { "Bounds" }
            (facts(&bounds(limits)))
        }
        section aria-labelledby="media" {
            h2 #media { "Media" }
            (facts(&media(limits)))
        }
    }
}

fn types(catalog: &Catalog) -> Markup {
    html! {
        @if catalog.types().next().is_none() {
            p.empty { "The catalog declares no types: devices cannot synchronize anything." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="types" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Type" }
                            th scope="col" { "Channel" }
                            th scope="col" { "Policy for conflicts" }
                            th scope="col" { "Required" }
                            th scope="col" { "Unique" }
                            th scope="col" { "Media" }
                            th scope="col" { "References" }
                        }
                    }
                    tbody {
                        @for (name, rules) in catalog.types() { (type_row(name, rules)) }
                    }
                }
            }
        }
    }
}

fn type_row(name: &str, rules: &ResourceType) -> Markup {
    let references: Vec<_> = rules
        .references
        .iter()
        .map(|(field, target)| format!("{field} → {target}"))
        .collect();
    let unique_note = if rules.unique_ignores_empty {
        " (except empty text)"
    } else {
        ""
    };
    html! {
        tr {
            th scope="row" { code { (name) } }
            td { (channel(rules.channel)) }
            td { (policy(rules.policy)) }
            td { (list(&rules.required)) }
            td { (list(&rules.unique)) (unique_note) }
            td { (list(&rules.media)) }
            td { (list(&references)) }
        }
    }
}

const fn channel(channel: DefaultChannel) -> &'static str {
    match channel {
        DefaultChannel::Tenant => "the tenant",
        DefaultChannel::User => "the user",
        DefaultChannel::Group => "a group, which each item names",
    }
}

const fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Manual => "an admin resolves them",
        Policy::FieldMerge => "edits of different fields merge",
        Policy::ClientWins => "the device's edit is applied",
        Policy::ServerWins => "the device's edit is dropped",
    }
}

/// Returns the names as code, or a dash if there are none.
fn list(names: &[String]) -> Markup {
    html! {
        @if names.is_empty() {
            span.none { "–" }
        } @else {
            @for (number, name) in names.iter().enumerate() {
                @if number > 0 { ", " }
                code { (name) }
            }
        }
    }
}

fn facts(rows: &[(&'static str, String)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in rows { dt { (name) } dd { (value) } }
        }
    }
}

fn retention(limits: &LimitsResponse) -> Vec<(&'static str, String)> {
    let days = |days: u64| format!("{days} days");
    vec![
        ("Change log", days(limits.retention.log_days)),
        (
            "Batches and their results",
            days(limits.retention.batch_days),
        ),
        (
            "Resources, conflicts and the audit log",
            "no end".to_owned(),
        ),
    ]
}

fn bounds(limits: &LimitsResponse) -> Vec<(&'static str, String)> {
    let number = |number: usize| number.to_string();
    vec![
        ("Bytes of a request", number(limits.body_bytes_max)),
        ("Items of a push", number(limits.batch_items_max)),
        ("Bytes of a payload", number(limits.payload_bytes_max)),
        ("Fields of a payload", number(limits.payload_fields_max)),
        ("Nesting of a payload", number(limits.payload_nesting_max)),
        (
            "Media keys of a payload",
            number(limits.payload_media_keys_max),
        ),
        ("Bytes of a name", number(limits.name_bytes_max)),
        ("Changes of a page", number(limits.page_changes_max)),
        ("Entries of a list", number(limits.list_max)),
        ("Characters of a note", number(limits.note_letters_max)),
    ]
}

fn media(limits: &LimitsResponse) -> Vec<(&'static str, String)> {
    let media = &limits.media;
    vec![
        ("Content types", media.types.join(", ")),
        ("Bytes of an upload", media.bytes_max.to_string()),
        (
            "Validity of an upload URL",
            format!("{} seconds", media.url_seconds),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use tidemark_core::wire::limits::{MediaLimits, Retention};

    use super::*;

    fn limits() -> LimitsResponse {
        let media = MediaLimits {
            types: vec!["image/png".into()],
            bytes_max: 1234,
            url_seconds: 900,
        };
        let retention = Retention {
            log_days: 31,
            batch_days: 91,
        };
        LimitsResponse::new(media, retention)
    }

    #[test]
    fn types_are_shown_with_their_rules() {
        let catalog = Catalog::parse(
            "[meter]\nchannel = \"tenant\"\nid_prefix = \"m\"\nunique = [\"code\"]\npolicy = \"manual\"\n\
             [task]\nchannel = \"group\"\nid_prefix = \"t\"\nreferences = { meter_id = \"meter\" }\n\
             policy = \"field_merge\"",
        )
        .expect("a catalog");
        let page = view(&catalog, &limits()).into_string();
        for text in [
            "<code>meter</code>",
            "<code>code</code>",
            "meter_id → meter",
            "an admin resolves them",
            "edits of different fields merge",
            "31 days",
            "91 days",
            "image/png",
            "1234",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
    }

    #[test]
    fn empty_catalog_has_a_message() {
        let empty = Catalog::parse("").expect("a catalog");
        let page = view(&empty, &limits()).into_string();
        assert!(page.contains("declares no types") && !page.contains("<table"));
    }
}
