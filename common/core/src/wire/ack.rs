//! Acknowledgements (§4.8): a device reports how far it has applied what it pulled, and admins see
//! how far devices lag behind.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{
    deserialize_name, deserialize_name_option, serialize_timestamp, serialize_timestamp_option,
};

/// An acknowledgement of pulled changes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AckRequest {
    /// The `next_token` of the last page that the device has applied.
    pub ack_token: String,
    /// The id of the device, 1 to 256 bytes. It is one of the caller's devices.
    #[serde(deserialize_with = "deserialize_name")]
    pub device_id: String,
    /// The version of the app on the device, 1 to 256 bytes. It is shown in the list of devices.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub app_version: Option<String>,
}

/// The response to an acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AckResponse {
    /// The device id as sent.
    pub device_id: String,
    /// The time of the response.
    #[serde(serialize_with = "serialize_timestamp")]
    pub acknowledged_at: DateTime<Utc>,
    /// The channels whose positions the acknowledgement recorded. A channel whose snapshot is not
    /// complete is not included.
    pub channels: Vec<String>,
}

/// A page of devices and their synchronization state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DevicesResponse {
    /// The devices, ordered by device id; for a whole tenant, ordered by user first.
    pub devices: Vec<DeviceState>,
    /// The `cursor` of the next page; `null` on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

impl DevicesResponse {
    /// Returns the page without the values that change with the time of the request.
    #[must_use]
    pub fn without_ages(mut self) -> Self {
        let channels = self
            .devices
            .iter_mut()
            .flat_map(|device| &mut device.channels);
        channels.for_each(|channel| channel.lag_seconds = None);
        self
    }
}

/// A device and its synchronization state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceState {
    /// The id of the device.
    pub device_id: String,
    /// The user who owns the device.
    pub user: String,
    /// The time of the device's first acknowledgement.
    #[serde(serialize_with = "serialize_timestamp")]
    pub first_seen: DateTime<Utc>,
    /// The time of the device's last acknowledgement.
    #[serde(serialize_with = "serialize_timestamp")]
    pub last_seen: DateTime<Utc>,
    /// The app version that the device reported last; `null` if it never reported one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub app_version: Option<String>,
    /// The channels that the device could pull when it acknowledged last.
    pub channels: Vec<ChannelState>,
    /// The number of conflicts about the device's edits.
    pub conflicts: DeviceConflicts,
}

/// The number of conflicts about a device's edits. Only the newest conflicts are counted (§4.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceConflicts {
    /// The number of conflicts that wait for a resolution.
    pub open: usize,
    /// The number of resolved conflicts whose outcome the device has not acknowledged. If this
    /// cannot be determined, the conflict is counted.
    pub unacknowledged: usize,
    /// Whether there may be older conflicts that were not counted.
    pub has_more: bool,
}

/// The state up to which a device has applied a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelState {
    /// The name of the channel.
    pub channel: String,
    /// The time up to which the device has applied the channel: every change that entered the
    /// change log earlier is applied. `null` until the device has applied its first snapshot.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub applied_until: Option<DateTime<Utc>>,
    /// Whether the device has applied the whole change log of the channel.
    pub caught_up: bool,
    /// 0 if the device is caught up, otherwise the seconds since `applied_until`: the maximum time
    /// that a change can have waited. `null` if it is unknown.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub lag_seconds: Option<i64>,
}
