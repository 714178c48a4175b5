//! Batches (§7): what a device sent and how it was answered, and running it again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{push::ItemResult, serialize_timestamp, serialize_timestamp_option};
use crate::{json::Json, principal::Principal};

/// A batch as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    /// Its id.
    pub batch_id: String,
    /// Whose.
    pub user: String,
    /// Which device's.
    pub device_id: String,
    /// When its items were stored first.
    #[serde(serialize_with = "serialize_timestamp")]
    pub received_at: DateTime<Utc>,
    /// When it was decided, or replayed last; `null` if it died before it was answered.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub processed_at: Option<DateTime<Utc>>,
    /// The items, digit for digit as they came; `null` in the place of one that `items_omitted`
    /// names.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Value>))]
    pub items: Vec<Option<Json>>,
    /// Goes on behind the last of them, as `from`; missing at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_item: Option<usize>,
    /// Indexes of items that are too large for any answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items_omitted: Vec<usize>,
    /// How the items were answered, without payloads; `null` if they were not.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub results: Option<Vec<ItemResult>>,
    /// The device has acknowledged, in every channel it pulls, a place that it reached after
    /// `processed_at`.
    pub delivered: bool,
}

/// How to replay a batch.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayRequest {
    /// Answer what would happen, and write nothing.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// Run with the role `admin` if the batch came with it. Left out, the batch runs without it:
    /// its user may have lost the role since.
    #[serde(default)]
    pub with_stored_roles: Option<bool>,
}

/// The claims that a replay runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunsAs {
    /// The user who pushed the batch.
    pub user: String,
    /// The roles that came with the batch, without `admin` unless the request asked for it.
    pub roles: Vec<String>,
    /// The groups that came with the batch.
    pub groups: Vec<String>,
}

impl From<&Principal> for RunsAs {
    fn from(
        Principal {
            user,
            roles,
            groups,
            ..
        }: &Principal,
    ) -> Self {
        Self {
            user: user.clone(),
            roles: roles.clone(),
            groups: groups.clone(),
        }
    }
}

/// The answer to a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayResponse {
    /// The batch.
    pub batch_id: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The claims that it runs with.
    pub runs_as: RunsAs,
    /// When it was decided.
    #[serde(serialize_with = "serialize_timestamp")]
    pub processed_at: DateTime<Utc>,
    /// One per item, in their order; of those that were `ok` before, the answer of then.
    pub results: Vec<ItemResult>,
}
