//! The parameters of the list of conflicts.

use serde_json::{Value, json};
use tidemark_core::model::{
    conflict::{ListOrder, ListedStatus},
    keyword::Keyword,
    limits::NAME_BYTES_MAX,
    result::ItemCode,
};

use super::parameters::{CURSOR, LIMIT, name};
use crate::openapi::wire_type::{ExtraSchema, named};

/// The parameters, with those of every list.
pub(super) const PARAMETERS: &[ExtraSchema] = &[
    named("status", "The status of the listed conflicts.", || {
        let default = ListedStatus::default().as_str();
        json!({"type": "string", "enum": texts::<ListedStatus>(), "default": default})
    }),
    named(
        "order",
        "Whether the oldest or the newest conflicts come first.",
        || {
            let default = ListOrder::default().as_str();
            json!({"type": "string", "enum": texts::<ListOrder>(), "default": default})
        },
    ),
    named("type", "The type of the resources.", name),
    named(
        "channel",
        "The channel of the resources.",
        || json!({"type": "string", "maxLength": NAME_BYTES_MAX + "group/".len()}),
    ),
    named("user", "The user who made the edits.", name),
    named(
        "device_id",
        "The device on which the edits were made.",
        name,
    ),
    named(
        "code",
        "The reason why the first edit of a conflict was rejected.",
        || json!({"type": "string", "enum": texts::<ItemCode>()}),
    ),
    named("resource_id", "The id of the resource.", name),
    named(
        "detected_from",
        "The time from which conflicts were detected, inclusive.",
        time,
    ),
    named(
        "detected_until",
        "The time until which conflicts were detected, exclusive.",
        time,
    ),
    LIMIT,
    CURSOR,
];

/// Returns the texts of a keyword.
fn texts<K: Keyword>() -> Vec<String> {
    K::ALL.iter().map(ToString::to_string).collect()
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}
