//! The conflicts of a device, as far as counting them needs it.

use serde::Deserialize;
use tidemark_core::{
    channel::Channel,
    conflict::{ConflictStatus, Outcome},
    key,
    resource::ResourceKey,
};

use super::{Conflicts, OutcomeRow};
use crate::{
    failure::Failure,
    tables::{Row, from_row},
};

/// The index by device and time.
const BY_DEVICE: &str = "by_device";

/// A conflict of a device.
#[derive(Debug, Clone)]
pub struct DeviceConflict {
    /// What it is about.
    pub resource: ResourceKey,
    /// How it ended; `None` while it is open.
    pub outcome: Option<Outcome>,
}

#[derive(Debug, Deserialize)]
struct IndexRow {
    status: String,
    channel: String,
    resource_type: String,
    resource_id: String,
    outcome: Option<OutcomeRow>,
}

/// The key of a device in the index.
pub(super) fn device_key(tenant: &str, user: &str, device_id: &str) -> String {
    key::join([tenant, user, device_id])
}

impl Conflicts {
    /// At most `limit` conflicts of a device, those that were detected last, and whether there are more. One that does not read is logged
    /// and left out. The index may lag behind by a moment.
    ///
    /// # Errors
    /// An outage.
    pub async fn newest_of_device(
        &self,
        tenant: &str,
        user: &str,
        device_id: &str,
        limit: usize,
    ) -> Result<(Vec<DeviceConflict>, bool), Failure> {
        let query = self.0.query_index(BY_DEVICE, "device_key", &device_key(tenant, user, device_id)).scan_index_forward(false);
        let answer = query.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await;
        let answer = answer.map_err(|error| Failure::outage("query on conflicts by device", error))?;
        let more = answer.last_evaluated_key.is_some();
        Ok((answer.items.unwrap_or_default().into_iter().filter_map(listed).collect(), more))
    }
}

fn listed(row: Row) -> Option<DeviceConflict> {
    let read = || {
        let row: IndexRow = from_row("conflict", row)?;
        let channel = Channel::parse(&row.channel).ok_or_else(|| Failure::unreadable("conflict", "channel"))?;
        let is_open = row.status == ConflictStatus::Open.as_str();
        let outcome = row.outcome.filter(|_| !is_open).map(OutcomeRow::read).transpose()?;
        let resource = ResourceKey { channel, resource_type: row.resource_type, id: row.resource_id };
        Ok(DeviceConflict { resource, outcome })
    };
    let read: Result<_, Failure> = read();
    if let Err(failure) = &read {
        tracing::error!(%failure, "a conflict does not read");
    }
    read.ok()
}
