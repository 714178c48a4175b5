//! The wire types: the content of requests and responses, with one file for each operation.

pub mod ack;
pub mod batches;
pub mod conflicts;
pub mod cursor;
pub mod gzip;
pub mod limits;
pub mod media;
pub mod notifications;
mod number;
pub mod origins;
pub mod problem;
pub mod pull;
pub mod push;
pub mod repair;
pub mod resolve;
pub mod routes;
pub mod status;
pub mod token;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// The kind of change that an edit makes to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Action {
    /// Creates the resource with the payload as its content.
    Create,
    /// Changes the resource by a JSON merge patch.
    Update,
    /// Marks the resource as deleted.
    Delete,
}

impl TryFrom<String> for Action {
    type Error = String;

    /// Parses text only. The enum derived by serde would also accept `{"update": null}`.
    fn try_from(text: String) -> Result<Self, String> {
        let actions = [Self::Create, Self::Update, Self::Delete];
        let action = actions.into_iter().find(|action| action.as_str() == text);
        action.ok_or_else(|| format!("unknown action {text:?}, expected create, update or delete"))
    }
}

impl Action {
    /// Returns the action as written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Formats a time as in all requests and responses: RFC 3339 in UTC, with milliseconds.
pub fn timestamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Serializes a time as [`timestamp`] formats it.
pub(crate) fn serialize_timestamp<S: Serializer>(
    moment: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*moment))
}

/// Serializes a time as [`timestamp`] formats it, and `None` as `null`.
pub(crate) fn serialize_timestamp_option<S: Serializer>(
    moment: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serialize_timestamp(moment, serializer),
        None => serializer.serialize_none(),
    }
}

/// Deserializes a name that a client chooses: text of 1 to 256 bytes.
pub(crate) fn deserialize_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.len() {
        1..=crate::model::limits::NAME_BYTES_MAX => Ok(name),
        0 => Err(serde::de::Error::custom("must not be empty")),
        _ => Err(serde::de::Error::custom(
            "must not be longer than 256 bytes",
        )),
    }
}

/// Deserializes a name like [`deserialize_name`], or `None` if it is missing or `null`.
pub(crate) fn deserialize_name_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "deserialize_name")] String);
    Ok(Option::<Name>::deserialize(deserializer)?.map(|name| name.0))
}
