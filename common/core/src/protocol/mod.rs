//! The wire types: what stands in requests and answers, one file per operation.

pub mod ack;
pub mod batches;
pub mod conflicts;
pub mod limits;
pub mod media;
pub mod notifications;
mod number;
pub mod problem;
pub mod pull;
pub mod push;
pub mod repair;
pub mod resolve;
pub mod status;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// What an edit does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Action {
    /// Makes it.
    Create,
    /// Changes it, by a merge patch.
    Update,
    /// Marks it deleted.
    Delete,
}

impl TryFrom<String> for Action {
    type Error = String;

    /// Text only: an enum of serde's would take `{"update": null}` too.
    fn try_from(text: String) -> Result<Self, String> {
        let actions = [Self::Create, Self::Update, Self::Delete];
        let action = actions.into_iter().find(|action| action.as_str() == text);
        action.ok_or_else(|| format!("unknown action {text:?}, expected create, update or delete"))
    }
}

impl Action {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A moment as it is written everywhere: RFC 3339 in UTC, to the millisecond.
pub fn timestamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Serialises a moment as [`timestamp`].
pub(crate) fn serialize_timestamp<S: Serializer>(
    moment: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*moment))
}

/// Serialises a moment as [`timestamp`], none as `null`.
pub(crate) fn serialize_timestamp_option<S: Serializer>(
    moment: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serialize_timestamp(moment, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads text of 1 to 256 bytes: what a client names things with.
pub(crate) fn deserialize_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.len() {
        1..=crate::limits::NAME_BYTES_MAX => Ok(name),
        0 => Err(serde::de::Error::custom("must not be empty")),
        _ => Err(serde::de::Error::custom(
            "must not be longer than 256 bytes",
        )),
    }
}

/// [`deserialize_name`] where the name may be missing or `null`.
pub(crate) fn deserialize_name_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "deserialize_name")] String);
    Ok(Option::<Name>::deserialize(deserializer)?.map(|name| name.0))
}
