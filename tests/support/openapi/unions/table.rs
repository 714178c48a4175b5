//! The table of the discriminated unions: which fields each variant has.

use serde_json::{Value, json};

use super::{Union, Variant, variant};
use crate::openapi::wire_type::reference;

/// The types that become unions.
pub(super) const UNIONS: &[Union] = &[
    Union {
        schema: "PushItem",
        by: "action",
        variants: &[
            Variant {
                required: &["payload"],
                without: &["was"],
                ..variant("create", "CreateItem", "Creates a resource.")
            },
            Variant {
                required: &["payload"],
                ..variant(
                    "update",
                    "UpdateItem",
                    "Changes a resource by a merge patch.",
                )
            },
            Variant {
                without: &["was"],
                ..variant("delete", "DeleteItem", "Deletes a resource.")
            },
        ],
    },
    Union {
        schema: "ItemResult",
        by: "status",
        variants: &[
            Variant {
                required: &["server_id", "server_version"],
                without: &["holder_id", "server_deleted", "code", "error", "retryable"],
                ..variant(
                    "ok",
                    "OkResult",
                    "The item was applied, now or before, or it changed nothing.",
                )
            },
            Variant {
                required: &["server_id", "conflict_id", "code", "error"],
                without: &["merged", "retryable", "superseded_conflicts"],
                ..variant(
                    "conflict",
                    "ConflictResult",
                    "The item was not applied and is kept in a conflict.",
                )
            },
            Variant {
                required: &["code", "error", "retryable"],
                without: &[
                    "merged",
                    "conflict_id",
                    "resolution",
                    "holder_id",
                    "server_payload",
                    "server_payload_omitted",
                    "superseded_conflicts",
                    "corrected",
                ],
                ..variant(
                    "error",
                    "ErrorResult",
                    "The item was not applied and is not kept.",
                )
            },
        ],
    },
    Union {
        schema: "Change",
        by: "action",
        variants: &[
            Variant {
                required: &["payload"],
                ..variant(
                    "create",
                    "CreateChange",
                    "The resource was created, or comes with a snapshot.",
                )
            },
            Variant {
                required: &["payload"],
                ..variant("update", "UpdateChange", "The resource was changed.")
            },
            Variant {
                without: &["payload"],
                ..variant("delete", "DeleteChange", "The resource was deleted.")
            },
        ],
    },
    Union {
        schema: "ConflictEntry",
        by: "status",
        variants: &[
            Variant {
                without: &["outcome"],
                ..variant("open", "OpenConflict", "The conflict is not resolved yet.")
            },
            Variant {
                required: &["outcome"],
                ..variant("resolved", "ResolvedConflict", "The conflict is resolved.")
            },
        ],
    },
    Union {
        schema: "ResolveRequest",
        by: "resolution",
        variants: &[
            Variant {
                without: &["fields"],
                instead: &[("payload", no_payload)],
                ..variant(
                    "accept_server",
                    "AcceptServerRequest",
                    "Keeps what the server holds.",
                )
            },
            Variant {
                without: &["fields"],
                instead: &[("payload", no_payload)],
                ..variant(
                    "accept_client",
                    "AcceptClientRequest",
                    "Applies the device's edits.",
                )
            },
            Variant {
                required: &["payload"],
                without: &["fields"],
                ..variant(
                    "manual_merge",
                    "ManualMergeRequest",
                    "Stores `payload` in place of both.",
                )
            },
            Variant {
                required: &["fields", "expected_server_version"],
                without: &["payload"],
                ..variant(
                    "field_pick",
                    "FieldPickRequest",
                    "Replaces the fields that `fields` names.",
                )
            },
        ],
    },
    Union {
        schema: "BulkResolveResult",
        by: "status",
        variants: &[
            Variant {
                required: &["resolution", "server_version"],
                without: &["problem"],
                ..variant(
                    "open",
                    "ResolvePreview",
                    "In a dry run: the conflict would be resolved.",
                )
            },
            Variant {
                required: &["resolution", "server_version"],
                without: &["problem"],
                ..variant(
                    "resolved",
                    "ResolveSuccess",
                    "The conflict is resolved as requested, by this request or before.",
                )
            },
            Variant {
                required: &["problem"],
                without: &["resolution", "server_version"],
                ..variant(
                    "rejected",
                    "ResolveRejection",
                    "The conflict cannot be resolved as requested.",
                )
            },
            Variant {
                without: &["resolution", "server_version", "problem"],
                ..variant(
                    "deferred",
                    "ResolveDeferral",
                    "The conflict was not processed: send it again.",
                )
            },
        ],
    },
    Union {
        schema: "BatchReplayResult",
        by: "status",
        variants: &[
            Variant {
                required: &["processed_at", "items"],
                without: &["problem"],
                ..variant(
                    "replayed",
                    "ReplaySuccess",
                    "The batch was or, in a dry run, would be replayed.",
                )
            },
            Variant {
                required: &["problem"],
                without: &["processed_at", "items"],
                ..variant(
                    "rejected",
                    "ReplayRejection",
                    "The batch could not be replayed.",
                )
            },
            Variant {
                without: &["processed_at", "items", "problem"],
                ..variant(
                    "deferred",
                    "ReplayDeferral",
                    "The batch was not processed: send it again.",
                )
            },
        ],
    },
    Union {
        schema: "AuditEntry",
        by: "action",
        variants: &[
            Variant {
                required: &[
                    "conflict_id",
                    "channel",
                    "resource_type",
                    "resource_id",
                    "resolution",
                ],
                without: &["batch_id", "runs_as", "resources"],
                instead: &[("before", resource_before), ("after", resource_after)],
                ..variant(
                    "conflict_resolved",
                    "ConflictResolvedEntry",
                    "A conflict was resolved, by a person or by a policy.",
                )
            },
            Variant {
                required: &["batch_id"],
                without: NOT_OF_A_REPLAY,
                instead: &[("before", results_before), ("after", nothing_after)],
                ..variant(
                    "replay_started",
                    "ReplayStartedEntry",
                    "A replay of a batch began.",
                )
            },
            Variant {
                required: &["batch_id"],
                without: NOT_OF_A_REPLAY,
                instead: &[("before", results_before), ("after", results_after)],
                ..variant(
                    "replay_finished",
                    "ReplayFinishedEntry",
                    "A replay of a batch ended.",
                )
            },
            Variant {
                required: &["batch_id"],
                without: &[
                    "bulk_id",
                    "resources",
                    "conflict_id",
                    "channel",
                    "resource_type",
                    "resource_id",
                    "resolution",
                ],
                instead: &[("before", item_before), ("after", item_after)],
                ..variant(
                    "item_corrected",
                    "ItemCorrectedEntry",
                    "An admin ran a rejected item of a batch with another payload. One entry is written before, and one with the result.",
                )
            },
            Variant {
                required: &["resources"],
                without: &[
                    "batch_id",
                    "bulk_id",
                    "runs_as",
                    "conflict_id",
                    "channel",
                    "resource_type",
                    "resource_id",
                    "resolution",
                    "note",
                ],
                instead: &[("before", nothing), ("after", nothing)],
                ..variant(
                    "admin_write",
                    "AdminWriteEntry",
                    "An admin pushed into channels that only the role `admin` opens to them.",
                )
            },
            Variant {
                required: &["channel", "note"],
                without: &[
                    "batch_id",
                    "bulk_id",
                    "runs_as",
                    "resources",
                    "conflict_id",
                    "resource_type",
                    "resource_id",
                    "resolution",
                ],
                instead: &[("before", nothing), ("after", nothing)],
                ..variant(
                    "repair",
                    "RepairEntry",
                    "An operator repaired or reset a channel of the change log.",
                )
            },
        ],
    },
];

/// The fields that entries about a replay lack.
const NOT_OF_A_REPLAY: &[&str] = &[
    "resources",
    "conflict_id",
    "channel",
    "resource_type",
    "resource_id",
    "resolution",
    "note",
];

fn no_payload() -> Value {
    json!({"type": "null", "description": "Only a `manual_merge` takes a payload."})
}

fn resource_before() -> Value {
    json!({"oneOf": [reference("AuditedResource"), {"type": "null"}], "description": "The resource before; `null` if there was none."})
}

fn resource_after() -> Value {
    json!({"oneOf": [reference("AuditedResource"), {"type": "null"}], "description": "The resource after; `null` if there is none."})
}

fn results_before() -> Value {
    let items = reference("ItemResult");
    json!({"type": ["array", "null"], "items": items, "description": "The results before, without payloads; `null` if there were none."})
}

fn results_after() -> Value {
    json!({"type": "array", "items": reference("ItemResult"), "description": "The results after, without payloads."})
}

fn item_before() -> Value {
    json!({"oneOf": [reference("AuditedItem"), {"type": "null"}], "description": "The item as the device sent it, and its result before."})
}

fn item_after() -> Value {
    json!({"oneOf": [reference("AuditedItem"), {"type": "null"}], "description": "The corrected item; its result is `null` in the entry that is written before."})
}

fn nothing_after() -> Value {
    json!({"type": "null", "description": "The entry for the end of the replay contains the results after it."})
}

fn nothing() -> Value {
    json!({"type": "null", "description": "Entries of this action have none."})
}
