//! The versions of a row, as the stream of the engine shows them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use tidemark_core::{channel::Scope, pack::unpack, resource::ResourceKey};

use crate::client::Name;

/// A row of `resources`: its tenant and its name.
pub type Row = (String, Name);

/// A version of a row.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its number.
    pub number: u64,
    /// Its payload, as text.
    pub payload: String,
    /// Whether it is deleted.
    pub is_deleted: bool,
    /// Who made it.
    pub author: String,
    /// Whether an admin made it.
    pub is_decision: bool,
    /// The fields of the payload.
    pub fields: Map<String, Value>,
}

/// Where [`read_version`] finds the payload that the row of a tombstone does not hold.
pub const KEPT: &str = "kept_payload";

/// The version of a tombstone's payload that its row does not hold.
pub fn kept_apart(image: &Value) -> Option<u64> {
    memory(image)?["k"][0].as_u64()
}

/// The row that keys name.
pub fn row_of(keys: &Value) -> Row {
    let text = |name: &str| keys[name]["S"].as_str().unwrap();
    let scope = Scope::parse(text("pk")).unwrap();
    let key = ResourceKey::parse(&scope, text("sk")).unwrap();
    (
        scope.tenant,
        Name {
            channel: key.channel.to_string(),
            resource_type: key.resource_type,
            id: key.id,
        },
    )
}

/// The version that an image of a row shows.
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

/// What the row of a deleted resource remembers.
fn memory(image: &Value) -> Option<Value> {
    let packed = BASE64_STANDARD
        .decode(image["tombstone"]["B"].as_str()?)
        .unwrap();
    serde_json::from_slice(&unpack(&packed, 1 << 20).unwrap()).ok()
}

/// The edits that a payload is marked with.
pub fn marks(fields: &Map<String, Value>) -> Vec<u64> {
    fields
        .keys()
        .filter_map(|field| field.strip_prefix('e')?.parse().ok())
        .collect()
}

/// Whether a field holds what an edit wrote, and no other edit writes.
pub fn is_slot(field: &str) -> bool {
    matches!(field, "a" | "b" | "c")
}

/// Which edit wrote what stands in a slot.
pub fn edit_of(value: &Value) -> Option<u64> {
    value.as_str()?.split(' ').next()?.parse().ok()
}
