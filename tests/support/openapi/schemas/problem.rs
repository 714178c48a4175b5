//! The schema of a problem and of its further members.

use serde_json::{Value, json};

use super::super::wire_type::{ExtraSchema, named, reference};
use super::text;

/// Members that a problem may have in addition to those of its type (`Problem::with`).
const PROBLEM_MEMBERS: &[ExtraSchema] = &[
    named(
        "allowed_types",
        "With `media_type_not_allowed`: the allowed types.",
        || json!({"type": "array", "items": {"type": "string"}}),
    ),
    named(
        "bytes_max",
        "With `media_too_large`: the maximum size in bytes.",
        || json!({"type": "integer"}),
    ),
    named("field", "With `unique_violation`: the unique field.", text),
    named(
        "holder_channel",
        "With `unique_violation`: the channel of the resource that holds the value.",
        text,
    ),
    named(
        "holder_id",
        "With `unique_violation`: the resource that holds the value, if the caller may read it.",
        text,
    ),
    named(
        "reason",
        "With `unprocessable`: the rule that the request would violate.",
        || reference("ItemCode"),
    ),
    named(
        "resolution",
        "With `already_resolved`: how the conflict was resolved.",
        || reference("Resolution"),
    ),
    named(
        "resolved_at",
        "With `already_resolved`: when the conflict was resolved.",
        || json!({"type": "string", "format": "date-time"}),
    ),
    named(
        "resolved_by",
        "With `already_resolved`: who resolved the conflict.",
        text,
    ),
    named(
        "server_deleted",
        "With `version_changed`: whether the resource is deleted.",
        || json!({"type": "boolean"}),
    ),
    named(
        "server_payload",
        "With `version_changed`: the current payload on the server.",
        || json!({"type": ["object", "null"]}),
    ),
    named(
        "server_version",
        "With `version_changed`: the current server version.",
        || json!({"type": "integer"}),
    ),
];

/// Adds [`PROBLEM_MEMBERS`] to the schema of problems.
pub(super) fn add_problem_members(problem: &mut Value) {
    for ExtraSchema {
        name,
        meaning,
        schema,
    } in PROBLEM_MEMBERS
    {
        let mut member = schema();
        member["description"] = (*meaning).into();
        problem["properties"][*name] = member;
    }
}
