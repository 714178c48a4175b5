//! The parameters of queries.

use serde_json::{Value, json};
use tidemark_core::model::limits;

use crate::openapi::wire_type::{ExtraSchema, named};

pub(super) const LIMIT: ExtraSchema = named(
    "limit",
    "Maximum number of entries in the page.",
    || json!({"type": "integer", "minimum": 1, "maximum": limits::LIST_MAX, "default": limits::LIST_DEFAULT}),
);
pub(super) const CURSOR: ExtraSchema = named(
    "cursor",
    "The `next_cursor` of the previous page of the same list.",
    || json!({"type": "string", "maxLength": limits::CURSOR_BYTES_MAX}),
);
pub(super) const DEVICES_SCOPE: ExtraSchema = named(
    "scope",
    "The devices of a user, or, for admins and viewers, of the whole tenant.",
    || json!({"type": "string", "enum": ["user", "tenant"], "default": "user"}),
);
pub(super) const CHANNEL: ExtraSchema = named(
    "channel",
    "A channel whose resources are compared with its change log, one page at a time. If omitted, all channels with a change log are listed without a comparison.",
    || json!({"type": "string", "maxLength": limits::NAME_BYTES_MAX + "group/".len()}),
);
pub(super) const USER: ExtraSchema = named(
    "user",
    "The user whose devices are listed. Only admins and viewers may name another user; the default is the caller.",
    name,
);
pub(super) const ORDER: ExtraSchema = named(
    "order",
    "Whether the newest or the oldest entries come first.",
    || json!({"type": "string", "enum": ["newest", "oldest"], "default": "newest"}),
);
pub(super) const FROM: ExtraSchema = named(
    "from",
    "The index of the first item to return: the `next_item` of the previous page.",
    || json!({"type": "integer", "minimum": 0, "maximum": limits::BATCH_ITEMS_MAX - 1, "default": 0}),
);

pub(super) const OUTCOME: ExtraSchema = named(
    "outcome",
    "The outcome of the listed batches: at least one error, at least one conflict, or no results.",
    || json!({"type": "string", "enum": ["error", "conflict", "unanswered"], "default": "error"}),
);
pub(super) const BATCH_USER: ExtraSchema =
    named("user", "The user who pushed the listed batches.", name);
pub(super) const BATCH_DEVICE: ExtraSchema = named(
    "device_id",
    "The device of `user` that pushed the listed batches. Requires `user`.",
    name,
);
pub(super) const BATCHES_FROM: ExtraSchema = named(
    "from",
    "The earliest time at which the listed batches were processed or, without results, received.",
    || json!({"type": "string", "format": "date-time"}),
);
pub(super) const BATCHES_UNTIL: ExtraSchema = named(
    "until",
    "The time before which the listed batches were processed or, without results, received.",
    || json!({"type": "string", "format": "date-time"}),
);

pub(super) fn name() -> Value {
    json!({"type": "string", "maxLength": limits::NAME_BYTES_MAX})
}
