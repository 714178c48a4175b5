//! Ack (§4.8): a device tells how far it has applied what it pulled, and admins see how far devices
//! are behind.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    deserialize_name, deserialize_name_option, serialize_timestamp, serialize_timestamp_option,
};

/// An acknowledgement.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AckRequest {
    /// The `next_token` of the last page that the device has applied.
    pub ack_token: String,
    /// Which device of the caller.
    #[serde(deserialize_with = "deserialize_name")]
    pub device_id: String,
    /// The version of the app on it, for whoever looks at devices.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub app_version: Option<String>,
}

/// The answer to an acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AckResponse {
    /// As sent.
    pub device_id: String,
    /// When this was answered.
    #[serde(serialize_with = "serialize_timestamp")]
    pub acknowledged_at: DateTime<Utc>,
    /// The channels of which the token says how far they are applied; one whose snapshot is not
    /// complete is none of them.
    pub channels: Vec<String>,
}

/// The answer to a look at devices.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DevicesResponse {
    /// By device id; of a whole tenant by user.
    pub devices: Vec<DeviceState>,
    /// Goes on behind the last of them, as `cursor`; `null` at the end.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

/// A device, and how far it has got.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceState {
    /// Its id.
    pub device_id: String,
    /// Whose it is.
    pub user: String,
    /// When it acknowledged first.
    #[serde(serialize_with = "serialize_timestamp")]
    pub first_seen: DateTime<Utc>,
    /// When it acknowledged last.
    #[serde(serialize_with = "serialize_timestamp")]
    pub last_seen: DateTime<Utc>,
    /// As it said last.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub app_version: Option<String>,
    /// The channels it could pull when it acknowledged last.
    pub channels: Vec<ChannelState>,
    /// What its user's edits on it wait for.
    pub conflicts: DeviceConflicts,
}

/// The conflicts of a device's edits, of the hundred that were detected last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceConflicts {
    /// Those that wait for a decision.
    pub open: usize,
    /// Those that are decided, and of which the device has not acknowledged the outcome. In case of
    /// doubt it has not.
    pub unacknowledged: usize,
    /// The device has older conflicts, which were not counted.
    pub has_more: bool,
}

/// How far a device has applied a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelState {
    /// Which.
    pub channel: String,
    /// The age of what it has applied: everything that entered the log before is applied. `null`
    /// before its first snapshot is.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub applied_until: Option<DateTime<Utc>>,
    /// Nothing waits for it in the log.
    pub caught_up: bool,
    /// 0 when it is caught up, else the seconds since `applied_until`: the most that a change has
    /// waited. `null` where that is not known.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub lag_seconds: Option<i64>,
}
