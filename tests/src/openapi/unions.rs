//! Wire types whose fields depend on the value of one of them: each becomes a discriminated union,
//! so that a generated client narrows it by that value. The variants are derived from the fields of
//! the type: a field that is added to the type stands in every variant that does not exclude it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schemas::reference;

/// A schema whose fields depend on the value of one of them.
struct Union {
    /// The name of the schema, which stays the name of the union.
    schema: &'static str,
    /// The field that selects the variant.
    by: &'static str,
    /// The variants, one for each value.
    variants: &'static [Variant],
}

/// The form of a schema for one value of the discriminator.
struct Variant {
    /// The value of the discriminator.
    value: &'static str,
    /// The name of the variant's schema.
    name: &'static str,
    /// The first sentence of its description.
    meaning: &'static str,
    /// Fields that are always present and never `null`, beyond those that every variant has.
    required: &'static [&'static str],
    /// Fields of the other variants.
    without: &'static [&'static str],
    /// Fields with a schema of their own in this variant.
    instead: &'static [(&'static str, Schema)],
}

/// Makes the schema of a field.
type Schema = fn() -> Value;

/// A variant with every field of its type, as the type has them.
const fn variant(value: &'static str, name: &'static str, meaning: &'static str) -> Variant {
    Variant {
        value,
        name,
        meaning,
        required: &[],
        without: &[],
        instead: &[],
    }
}

const UNIONS: &[Union] = &[
    Union {
        schema: "PushItem",
        by: "action",
        variants: &[
            Variant {
                required: &["payload"],
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
            variant("delete", "DeleteItem", "Deletes a resource."),
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
                ..variant("open", "OpenConflict", "The conflict waits for a decision.")
            },
            Variant {
                required: &["outcome"],
                ..variant("resolved", "ResolvedConflict", "The conflict is decided.")
            },
        ],
    },
    Union {
        schema: "ResolveRequest",
        by: "resolution",
        variants: &[
            Variant {
                instead: &[("payload", no_payload)],
                ..variant(
                    "accept_server",
                    "AcceptServerRequest",
                    "Keeps what the server holds.",
                )
            },
            Variant {
                instead: &[("payload", no_payload)],
                ..variant(
                    "accept_client",
                    "AcceptClientRequest",
                    "Applies the device's edits.",
                )
            },
            Variant {
                required: &["payload"],
                ..variant(
                    "manual_merge",
                    "ManualMergeRequest",
                    "Stores `payload` in place of both.",
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
                    "A conflict was decided, by a person or by a policy.",
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
                required: &["resources"],
                without: &[
                    "batch_id",
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
                    "An operator had a channel of the change log repaired or started over.",
                )
            },
        ],
    },
];

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

fn nothing_after() -> Value {
    json!({"type": "null", "description": "The results after stand in the entry of the replay's end."})
}

fn nothing() -> Value {
    json!({"type": "null", "description": "Entries of this action have none."})
}

/// Replaces each type of [`UNIONS`] by the union of its variants.
pub(super) fn expand(schemas: &mut BTreeMap<String, Value>) {
    for union in UNIONS {
        let Union {
            schema,
            by,
            variants,
        } = union;
        let whole = schemas
            .remove(*schema)
            .unwrap_or_else(|| panic!("there is no schema {schema}: correct UNIONS"));
        union.check_values(&whole, schemas);
        let one_of: Vec<_> = variants
            .iter()
            .map(|variant| reference(variant.name))
            .collect();
        let mapping: Map<_, _> = variants
            .iter()
            .map(|variant| (variant.value.to_owned(), target(variant.name)))
            .collect();
        let description = whole["description"].clone();
        let described = json!({"description": description, "oneOf": one_of, "discriminator": {"propertyName": by, "mapping": mapping}});
        for variant in *variants {
            let other = schemas.insert(variant.name.to_owned(), variant.of(&whole, by));
            assert!(other.is_none(), "two schemas are called {}", variant.name);
        }
        schemas.insert((*schema).to_owned(), described);
    }
}

fn target(name: &str) -> Value {
    reference(name)["$ref"].clone()
}

impl Union {
    /// Panics if the discriminator has a value without a variant, or a variant a value that the
    /// discriminator lacks.
    fn check_values(&self, whole: &Value, schemas: &BTreeMap<String, Value>) {
        let named = whole["properties"][self.by]["$ref"]
            .as_str()
            .and_then(|text| text.rsplit('/').next())
            .unwrap_or_default();
        let values = schemas
            .get(named)
            .map(|schema| schema["enum"].clone())
            .unwrap_or_default();
        let mut values: Vec<String> = serde_json::from_value(values).unwrap_or_default();
        let mut described: Vec<_> = self
            .variants
            .iter()
            .map(|variant| variant.value.to_owned())
            .collect();
        values.sort();
        described.sort();
        assert_eq!(
            described, values,
            "{}.{}: correct UNIONS",
            self.schema, self.by
        );
    }
}

impl Variant {
    /// The variant's schema, derived from that of its type.
    fn of(&self, whole: &Value, by: &str) -> Value {
        let mut schema = whole.clone();
        schema["description"] = self.meaning.into();
        let fields = schema["properties"].as_object_mut().unwrap();
        let described = fields[by]["description"].clone();
        for name in self.without {
            assert!(
                fields.remove(*name).is_some(),
                "{} has no field {name}: correct UNIONS",
                self.name
            );
        }
        for (name, instead) in self.instead {
            fields.insert((*name).to_owned(), instead());
        }
        fields.insert(
            by.to_owned(),
            json!({"type": "string", "enum": [self.value], "description": described}),
        );
        let mut required: Vec<String> = serde_json::from_value(whole["required"].clone()).unwrap();
        for name in self.required {
            super::schemas::forbid_null(
                fields
                    .get_mut(*name)
                    .unwrap_or_else(|| panic!("{} has no field {name}", self.name)),
            );
            if !required.iter().any(|known| known == name) {
                required.push((*name).to_owned());
            }
        }
        schema["required"] = required.into();
        schema
    }
}
