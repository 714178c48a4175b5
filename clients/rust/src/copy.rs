//! The copy of a resource on a device, and the storage of all copies as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ResourceName;

/// The copy of a resource on a device, without the edits that wait, and its version numbers
/// (docs/protocol.md, *Numbering versions*).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LocalCopy {
    /// The server version of the last content that the device received; 0 for a resource that it
    /// created itself.
    pub base: u64,
    /// The highest server version that the device has received notice of. It is never below `base`.
    pub known: u64,
    /// The highest `client_version` that the device has given to an edit of the resource.
    pub used: Option<u64>,
    /// The payload as JSON text; `None` if the resource is deleted or does not exist yet.
    pub payload: Option<Box<RawValue>>,
    /// Whether the copy lacks earlier versions of this device, which pulls have to deliver.
    pub is_incomplete: bool,
    /// The temp id of the device's create, after the server has reported the id of the resource. A
    /// later create of the resource is sent with it, because the id is derived from it (§3.1).
    pub temp_id: Option<String>,
}

impl LocalCopy {
    /// Replaces the copy with content of the server.
    pub(crate) fn receive(&mut self, payload: Option<Box<RawValue>>, version: u64) {
        self.payload = payload;
        (self.base, self.known) = (version, version);
        self.is_incomplete = false;
    }

    /// Drops the content with `base` and `known`. Keeps `used`, so that no number is given twice,
    /// and the temp id.
    pub(crate) fn drop_content(&mut self) {
        self.payload = None;
        (self.base, self.known) = (0, 0);
        self.is_incomplete = false;
    }

    /// Returns whether the device knows nothing about the resource.
    pub(crate) fn is_unknown(&self) -> bool {
        self.known == 0 && self.used.is_none() && self.temp_id.is_none()
    }
}

/// Serializes copies as a list of pairs, because JSON has no maps with objects as keys.
pub(crate) fn serialize_copies<S: Serializer>(
    copies: &BTreeMap<ResourceName, LocalCopy>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(copies)
}

/// Deserializes copies from a list of pairs.
pub(crate) fn deserialize_copies<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ResourceName, LocalCopy>, D::Error> {
    let pairs = Vec::<(ResourceName, LocalCopy)>::deserialize(deserializer)?;
    Ok(pairs.into_iter().collect())
}
