//! The wire types: the content of requests and responses, with one file for each operation.

pub mod ack;
pub mod audit;
pub mod batches;
pub mod catalog;
pub mod conflicts;
pub mod cursor;
pub mod gzip;
pub mod limits;
pub mod me;
pub mod media;
pub mod notifications;
mod number;
pub mod origins;
pub mod problem;
pub mod pull;
pub mod push;
pub mod query;
pub mod repair;
pub mod resolve;
pub mod routes;
#[cfg(feature = "openapi")]
mod schemas;
pub mod status;
pub mod text;
pub mod token;

use crate::model::time::timestamp;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serializer};

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
