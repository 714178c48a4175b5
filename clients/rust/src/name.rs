//! The name of a resource on a device.

use serde::{Deserialize, Serialize};

/// The identity of a resource on a device: the same id in two channels identifies two resources
/// (§2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceName {
    /// The channel of the resource: `tenant`, `user/<sub>` or `group/<name>`.
    pub channel: String,
    /// The type of the resource, as defined in the catalog.
    pub resource_type: String,
    /// The id of the resource, or the temp id of its create.
    pub id: ResourceId,
}

impl ResourceName {
    /// Returns the name of a resource whose id is known, or requested by its create.
    pub fn server(
        channel: impl Into<String>,
        resource_type: impl Into<String>,
        id: impl Into<String>,
    ) -> Self {
        Self {
            channel: channel.into(),
            resource_type: resource_type.into(),
            id: ResourceId::Server(id.into()),
        }
    }

    /// Returns the name of a resource that the device creates without an id of its own. The temp
    /// id is permanently unique per device, for example a random UUID.
    pub fn temp(
        channel: impl Into<String>,
        resource_type: impl Into<String>,
        temp_id: impl Into<String>,
    ) -> Self {
        Self {
            channel: channel.into(),
            resource_type: resource_type.into(),
            id: ResourceId::Temp(temp_id.into()),
        }
    }
}

/// The id of a resource on a device (§3.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceId {
    /// The id that the server uses, 1 to 256 bytes. Items contain it as `payload.id`.
    Server(String),
    /// The `client_temp_id` of the create, 1 to 256 bytes, until the server reports the id.
    Temp(String),
}

impl ResourceId {
    /// Returns the id as text, without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Server(id) | Self::Temp(id) => id,
        }
    }

    /// Returns whether the id is a temp id of the device.
    pub fn is_temp(&self) -> bool {
        matches!(self, Self::Temp(_))
    }
}
