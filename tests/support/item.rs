//! Items of a push.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// An item of a push. It can be used within `json!`.
///
/// ```
/// use serde_json::json;
/// use tidemark_tests::Item;
///
/// let items = json!([
///     Item::create("meter", "m-1", json!({"code": "A-1"})),
///     Item::update("task", "task-1", 3, json!({"done": true})).channel("group/crew").base(2),
/// ]);
/// assert_eq!(items[0]["payload"], json!({"id": "m-1", "code": "A-1"}));
/// ```
#[derive(Debug, Clone)]
pub struct Item(Value);

impl Item {
    /// Returns an item with these members and no payload.
    pub fn new(resource_type: &str, action: &str, client_version: u64) -> Self {
        Self(json!({
            "resource_type": resource_type, "action": action, "client_version": client_version,
        }))
    }

    /// Returns the create of a resource with this id and content.
    pub fn create(resource_type: &str, id: &str, payload: Value) -> Self {
        Self::new(resource_type, "create", 0)
            .payload(payload)
            .id(id)
    }

    /// Returns the create of a resource to which the server assigns the id.
    pub fn create_as(resource_type: &str, client_temp_id: &str, payload: Value) -> Self {
        Self::new(resource_type, "create", 0)
            .payload(payload)
            .temp_id(client_temp_id)
    }

    /// Returns an update of a resource with this `client_version` and merge patch.
    pub fn update(resource_type: &str, id: &str, client_version: u64, patch: Value) -> Self {
        Self::new(resource_type, "update", client_version)
            .payload(patch)
            .id(id)
    }

    /// Returns the delete of a resource with this `client_version`.
    pub fn delete(resource_type: &str, id: &str, client_version: u64) -> Self {
        Self::new(resource_type, "delete", client_version)
            .payload(json!({}))
            .id(id)
    }

    /// Sets `payload`.
    #[must_use]
    pub fn payload(self, payload: Value) -> Self {
        self.with("payload", payload)
    }

    /// Sets `payload.id`.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.0["payload"]["id"] = id.into();
        self
    }

    /// Sets `client_temp_id`.
    #[must_use]
    pub fn temp_id(self, client_temp_id: &str) -> Self {
        self.with("client_temp_id", client_temp_id)
    }

    /// Sets `channel`.
    #[must_use]
    pub fn channel(self, channel: &str) -> Self {
        self.with("channel", channel)
    }

    /// Sets `client_version`.
    #[must_use]
    pub fn version(self, client_version: u64) -> Self {
        self.with("client_version", client_version)
    }

    /// Sets `base_version`.
    #[must_use]
    pub fn base(self, base_version: u64) -> Self {
        self.with("base_version", base_version)
    }

    /// Sets any member, also one that the protocol does not know.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0[member] = value.into();
        self
    }
}

impl From<Item> for Value {
    fn from(item: Item) -> Self {
        item.0
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
