//! The result of an item.

use maud::{Markup, html};
use tidemark_core::{
    model::{resolution::Resolution, result::Status},
    wire::push::ItemResultBody,
};

use crate::{
    elements::segment,
    text::{name, visible},
};

/// Returns a result in words. `conflicts` is the reference to the list of conflicts.
pub(super) fn view(result: &ItemResultBody, conflicts: &str) -> Markup {
    html! {
        div {
            strong { (status(result.status)) }
            @if let Some(code) = result.code { " " code { (code) } }
            @if result.merged { ", merged" }
            @if result.corrected { ", corrected" }
            @if result.retryable == Some(true) { ", may succeed later" }
        }
        @if let Some(error) = &result.error { div { bdi { (visible(error)) } } }
        @if let Some(id) = &result.server_id {
            div {
                (name(id))
                @if let Some(version) = result.server_version { ", version " (version) }
                @if result.server_deleted { ", deleted" }
            }
        }
        @if let Some(id) = &result.holder_id { div { "The value is held by " (name(id)) } }
        @if let Some(resolution) = result.resolution { div { (resolved(resolution)) } }
        @if let Some(id) = &result.conflict_id {
            div { a href={ (conflicts) "/" (segment(id)) } { "The conflict" } }
        }
    }
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "applied",
        Status::Conflict => "conflict",
        Status::Error => "rejected",
    }
}

const fn resolved(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::AcceptServer => "Resolved: the server's content was kept",
        Resolution::AcceptClient => "Resolved: the device's edits were applied",
        Resolution::ManualMerge => "Resolved: both were merged",
    }
}
