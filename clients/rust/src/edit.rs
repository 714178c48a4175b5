//! An edit that a user made: its number, its versions, and the item that the push sends.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tidemark_core::wire::text;

use crate::{Action, ResourceId, ResourceName, payload};

/// The change that an edit makes to its resource. Payloads are the text of JSON objects. A field
/// `id` in them is ignored, because the name of the resource determines the id (§3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditContent<'a> {
    /// Creates the resource with this payload.
    Create(&'a str),
    /// Changes the resource by this merge patch: `null` removes a field (§3.2).
    Update(&'a str),
    /// Deletes the resource, which needs no payload.
    Delete,
}

/// The error for a payload that is not the text of a JSON object.
#[derive(Debug, thiserror::Error)]
#[error("the payload is not a JSON object: {0}")]
pub struct InvalidPayload(#[from] serde_json::Error);

/// An edit as the device stores it. Its item and its numbers are fixed when the edit is made, and
/// sent unchanged in every attempt (§3.3).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edit {
    number: u64,
    pub(crate) name: ResourceName,
    #[serde(with = "text")]
    action: Action,
    client_version: u64,
    base_version: u64,
    content: Box<RawValue>,
    item: Box<RawValue>,
}

impl Edit {
    /// Creates an edit with its item, in which `address` identifies the resource. The item contains
    /// the base version if `sends_base` is true.
    pub(crate) fn seal(
        number: u64,
        (name, address): (ResourceName, &ResourceId),
        content: EditContent<'_>,
        (client_version, base_version): (u64, u64),
        sends_base: bool,
    ) -> Result<Self, InvalidPayload> {
        let (action, text) = match content {
            EditContent::Create(payload) => (Action::Create, payload),
            EditContent::Update(patch) => (Action::Update, patch),
            EditContent::Delete => (Action::Delete, "{}"),
        };
        let content = payload::without_id(text)?;

        let (client_temp_id, payload) = match address {
            ResourceId::Temp(id) => (Some(id.as_str()), content.clone()),
            ResourceId::Server(id) => (None, payload::with_id(&content, id)?),
        };
        let item = to_raw_value(&SealedItem {
            client_temp_id,
            resource_type: &name.resource_type,
            action,
            channel: &name.channel,
            client_version,
            base_version: sends_base.then_some(base_version),
            payload: &payload,
        })?;

        Ok(Self {
            number,
            name,
            action,
            client_version,
            base_version,
            content,
            item,
        })
    }

    /// Returns the number that the caller gave to the edit.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the resource that the edit is about. A temp id is replaced once the server has
    /// reported the id; the item keeps the temp id.
    pub fn name(&self) -> &ResourceName {
        &self.name
    }

    /// Returns the action of the item.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Returns the `client_version` of the item (§3.3).
    pub fn client_version(&self) -> u64 {
        self.client_version
    }

    /// Returns the base version of the edit, also if the item does not contain it (§3.3).
    pub fn base_version(&self) -> u64 {
        self.base_version
    }

    /// Returns the payload of a create or the merge patch of an update, without the id. For a
    /// delete, this is `{}`.
    pub fn content(&self) -> &RawValue {
        &self.content
    }

    /// Returns the item of the push as JSON text.
    pub fn item(&self) -> &RawValue {
        &self.item
    }
}

/// An item of a push (§3).
#[derive(Serialize)]
struct SealedItem<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_temp_id: Option<&'a str>,
    resource_type: &'a str,
    #[serde(with = "text")]
    action: Action,
    channel: &'a str,
    client_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_version: Option<u64>,
    payload: &'a RawValue,
}
