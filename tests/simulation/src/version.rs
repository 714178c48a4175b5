//! The versions of a row, decoded from the stream of the engine.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use tidemark_aws::tables::format::unpack;
use tidemark_client::ResourceName;
use tidemark_core::model::{channel::Scope, resource::ResourceKey};

/// A row of `resources`: its tenant and its name.
pub type Row = (String, ResourceName);

/// One version of a row.
#[derive(Debug, Clone)]
pub struct Version {
    /// The server version of the resource.
    pub number: u64,
    /// The payload as JSON text.
    pub payload: String,
    /// Whether the version is a tombstone.
    pub is_deleted: bool,
    /// The author of the version.
    pub author: String,
    /// Whether the resolution of a conflict wrote the version.
    pub is_decision: bool,
    /// The fields of the payload.
    pub fields: Map<String, Value>,
}

/// The attribute in which [`read_version`] finds the last payload of a tombstone whose row does not
/// contain it.
pub const KEPT: &str = "kept_payload";

/// Returns the version under which a tombstone's payload is stored apart from its row, if it is.
pub fn kept_apart(image: &Value) -> Option<u64> {
    memory(image)?["k"][0].as_u64()
}

/// Returns the row that these keys identify.
pub fn row_of(keys: &Value) -> Row {
    let text = |name: &str| keys[name]["S"].as_str().unwrap();
    let scope = Scope::parse(text("pk")).unwrap();
    let key = ResourceKey::parse(&scope, text("sk")).unwrap();
    (
        scope.tenant,
        ResourceName::server(key.channel.to_string(), key.resource_type, key.id),
    )
}

/// Decodes the version that an image of a row contains.
pub fn read_version(image: &Value) -> Version {
    let number = |value: &Value| {
        value["N"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };

    let own = number(&image["server_version"]);
    if let Some(memory) = memory(image) {
        let decisions = memory["s"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let payload = memory.get("p").map(ToString::to_string);
        let payload = payload
            .or_else(|| image[KEPT]["S"].as_str().map(str::to_owned))
            .unwrap_or_default();
        return Version {
            number: own,
            fields: serde_json::from_str(&payload).unwrap_or_default(),
            payload,
            is_deleted: true,
            author: memory["r"][0].as_str().unwrap_or_default().to_owned(),
            is_decision: decisions
                .iter()
                .any(|decision| decision["server_version"] == own),
        };
    }

    let decisions = image["resolutions"]["L"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let payload = image["payload"]["S"]
        .as_str()
        .unwrap_or_default()
        .to_owned();

    Version {
        number: own,
        fields: serde_json::from_str(&payload).unwrap_or_default(),
        payload,
        is_deleted: image["deleted"]["BOOL"] == true,
        author: image["run_by"]["S"].as_str().unwrap_or_default().to_owned(),
        is_decision: decisions
            .iter()
            .any(|decision| number(&decision["M"]["server_version"]) == own),
    }
}

/// Decodes the packed attributes of a deleted resource.
fn memory(image: &Value) -> Option<Value> {
    let packed = BASE64_STANDARD
        .decode(image["tombstone"]["B"].as_str()?)
        .unwrap();
    serde_json::from_slice(&unpack(&packed, 1 << 20).unwrap()).ok()
}

/// Returns the edits whose marks the payload contains.
pub fn marks(fields: &Map<String, Value>) -> Vec<u64> {
    fields
        .keys()
        .filter_map(|field| field.strip_prefix('e')?.parse().ok())
        .collect()
}

/// Returns whether a field contains a value that only one edit writes.
pub fn is_slot(field: &str) -> bool {
    matches!(field, "a" | "b" | "c")
}

/// Returns the number of the edit that wrote the value of such a field.
pub fn edit_of(value: &Value) -> Option<u64> {
    value.as_str()?.split(' ').next()?.parse().ok()
}
