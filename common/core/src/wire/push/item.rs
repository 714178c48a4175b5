//! The items of a push: each is parsed by itself (§3.7).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    model::{
        edit::{Action, SentEdit, SentItem},
        json::{self, Fields, Json},
        limits::{VERSION_MAX, is_name},
        result::{ItemCode, Rejection},
    },
    wire::{
        deserialize_name_option,
        number::{deserialize_whole, deserialize_whole_option},
        text,
    },
};

/// An edit of one resource.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushItem {
    /// For a create, the client's name for the new resource. For an update or delete, the name of
    /// the resource to change if the payload has no `id`. 1 to 256 bytes.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub client_temp_id: Option<String>,
    /// The resource type, as defined in the catalog.
    pub resource_type: String,
    /// The kind of change.
    #[serde(with = "text")]
    pub action: Action,
    /// The content of a create, or the JSON merge patch of an update. Its `id` identifies the
    /// resource. Optional for a delete.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The version that the edit was made on (§3.3).
    #[serde(deserialize_with = "deserialize_whole::<_, 0, VERSION_MAX>")]
    pub client_version: u64,
    /// The last `server_version` whose content the device has received (§3.3).
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, VERSION_MAX>"
    )]
    pub base_version: Option<u64>,
    /// The channel of the resource. Default: the default channel of the type.
    #[serde(default)]
    pub channel: Option<String>,
    /// For an update: the values that the top-level fields of the patch had in the device's base
    /// (§5.1). It is stored with a conflict. A value that is not an object, or that exceeds the
    /// bound of 8 KiB, is ignored.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub was: Option<Json>,
}

/// Parses one item of a batch. An invalid item has the members that could be parsed.
pub fn read_item(item: &RawValue) -> SentItem {
    // Accepts only an object: serde would also deserialize a list of the values.
    let sound = item
        .get()
        .starts_with('{')
        .then(|| serde_json::from_str::<PushItem>(item.get()));
    let Some(Ok(item)) = sound else {
        return read_invalid(item);
    };

    let PushItem {
        client_temp_id,
        resource_type,
        action,
        payload,
        client_version,
        base_version,
        channel,
        was,
    } = item;
    SentItem {
        client_temp_id,
        resource_type: Some(resource_type),
        channel,
        is_create: action == Action::Create,
        fields: payload.as_deref().and_then(json::fields),
        payload,
        was,
        edit: Ok(SentEdit {
            action,
            client_version,
            base_version,
        }),
    }
}

/// Reads the valid members of an invalid item.
fn read_invalid(item: &RawValue) -> SentItem {
    let mut deserializer = serde_json::Deserializer::from_str(item.get());
    let (rejection, members) = match (
        json::fields(item),
        serde_path_to_error::deserialize::<_, PushItem>(&mut deserializer),
    ) {
        (Some(members), Err(error)) => (invalid_item(error.path(), error.inner()), members),
        // The item is an object with a key that is not valid text.
        (None, Err(error)) if item.get().starts_with('{') => {
            (invalid_item(error.path(), error.inner()), Fields::new())
        }
        (members, _) => (
            Rejection::new(ItemCode::InvalidItem, "an item must be a JSON object"),
            members.unwrap_or_default(),
        ),
    };

    let text = |member: &str| serde_json::from_str::<String>(members.get(member)?.get()).ok();
    SentItem {
        client_temp_id: text("client_temp_id").filter(|name| is_name(name)),
        resource_type: text("resource_type"),
        channel: text("channel"),
        is_create: text("action").as_deref() == Some(Action::Create.as_str()),
        payload: None,
        was: None,
        fields: members
            .get("payload")
            .and_then(|payload| json::fields(payload)),
        edit: Err(rejection),
    }
}

/// Returns the rejection of an item that cannot be parsed, with the JSON path of the first error.
fn invalid_item(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Rejection {
    let path = path.to_string();
    let location = if matches!(path.as_str(), "." | "?") {
        String::new()
    } else {
        format!("{path}: ")
    };
    Rejection::new(
        ItemCode::InvalidItem,
        format!("{location}{}", json::explain(error)),
    )
}
