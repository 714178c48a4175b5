//! The synchronization state of devices. It is derived from acknowledged positions, the heads of
//! the logs, and resolved conflicts.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidemark_aws::{
    Context, Error,
    tables::{
        conflicts::{DeviceConflict, NewestConflicts},
        devices::StoredDevice,
    },
};
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        limits::DEVICE_LOOKUPS_MAX,
    },
    rules::{ack, delivery::AwaitedVersion, sequence::plan::Head},
    wire::ack::{ChannelState, DeviceConflicts, DeviceState},
};

use crate::delivery::{self, ReadAllowance};

/// The number of devices whose conflicts are evaluated concurrently. It bounds the concurrent
/// queries of one request and the segments that the request holds in memory.
const PARALLEL_DEVICES: usize = 8;

/// Returns the states of devices of a tenant, in the order of `devices`.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be
/// decoded.
pub(super) async fn load_all(
    context: &Context,
    tenant: &str,
    devices: Vec<StoredDevice>,
) -> Result<Vec<DeviceState>, Error> {
    let named: Vec<(&str, &str)> = devices
        .iter()
        .map(|device| (device.user.as_str(), device.device_id.as_str()))
        .collect();
    let conflicts = &context.tables.conflicts;
    let (heads, newest) = tokio::try_join!(
        heads(context, tenant, &devices),
        conflicts.newest_of_devices(tenant, &named)
    )?;

    let now = context.clock.now();
    let (heads, allowance) = (&heads, &ReadAllowance::default());
    let states = devices
        .into_iter()
        .zip(newest)
        .map(async |(device, newest)| {
            let conflicts = count_conflicts(context, tenant, &device, newest, allowance).await?;
            Ok::<_, Error>(device_state(device, conflicts, heads, now))
        });

    stream::iter(states)
        .buffered(PARALLEL_DEVICES)
        .try_collect()
        .await
}

/// Returns the heads of all channels of these devices.
async fn heads(
    context: &Context,
    tenant: &str,
    devices: &[StoredDevice],
) -> Result<HashMap<Channel, Option<Head>>, Error> {
    let channels: BTreeSet<&Channel> = devices.iter().flat_map(|device| &device.channels).collect();
    let scopes: Vec<Scope> = channels
        .into_iter()
        .map(|channel| Scope {
            tenant: tenant.to_owned(),
            channel: channel.clone(),
        })
        .collect();

    let heads = context.tables.changes.heads(&scopes).await?;
    Ok(scopes
        .into_iter()
        .map(|scope| scope.channel)
        .zip(heads)
        .collect())
}

/// Counts the open conflicts of a device, and the resolved conflicts whose outcome the device has
/// not acknowledged. Looks up at most [`DEVICE_LOOKUPS_MAX`] of these in the log.
async fn count_conflicts(
    context: &Context,
    tenant: &str,
    device: &StoredDevice,
    newest: NewestConflicts,
    allowance: &ReadAllowance,
) -> Result<DeviceConflicts, Error> {
    let mut counted = DeviceConflicts {
        open: newest.open,
        has_more: newest.has_more,
        ..DeviceConflicts::default()
    };
    let mut limits = LookupLimits {
        lookups_left: DEVICE_LOOKUPS_MAX,
        allowance,
    };

    for DeviceConflict { resource, outcome } in newest.resolved {
        // Version 0 means that the resolution wrote no resource, so there is nothing to pull: the
        // device learns the outcome from the response to its push, or its user from an admin.
        if outcome.server_version == 0 {
            continue;
        }
        let awaited = AwaitedVersion {
            resource: &resource,
            server_version: outcome.server_version,
            made_at: outcome.resolved_at,
        };
        if !is_acknowledged(context, tenant, device, &awaited, &mut limits).await? {
            counted.unacknowledged += 1;
        }
    }
    Ok(counted)
}

/// The limits of the lookups in the log.
struct LookupLimits<'a> {
    /// The number of resolutions of the device that may still be looked up.
    lookups_left: usize,
    /// The bytes that the request may still read.
    allowance: &'a ReadAllowance,
}

/// Returns whether a device has acknowledged a resolution. Reads the log only if the age of the
/// acknowledged position does not determine it. Returns `false` if no lookups or no bytes are left.
async fn is_acknowledged(
    context: &Context,
    tenant: &str,
    device: &StoredDevice,
    awaited: &AwaitedVersion<'_>,
    limits: &mut LookupLimits<'_>,
) -> Result<bool, Error> {
    let Some(acknowledged) = device.positions.get(&awaited.resource.channel) else {
        return Ok(false);
    };

    match awaited.is_delivered_by_age(acknowledged) {
        Some(delivered) => Ok(delivered),
        None if limits.lookups_left == 0 || limits.allowance.is_exhausted() => Ok(false),
        None => {
            limits.lookups_left -= 1;
            let allowance = limits.allowance;
            delivery::is_delivered_at(context, tenant, acknowledged, awaited, allowance).await
        }
    }
}

/// Returns the state of a device: for each of its channels the acknowledged position and its lag
/// behind the head of the log at the time `now`, and the counted `conflicts`.
fn device_state(
    device: StoredDevice,
    conflicts: DeviceConflicts,
    heads: &HashMap<Channel, Option<Head>>,
    now: DateTime<Utc>,
) -> DeviceState {
    let channel_state = |channel: &Channel| {
        let acknowledged = device.positions.get(channel);
        let lag = ack::lag(
            acknowledged,
            heads.get(channel).and_then(Option::as_ref),
            now,
        );
        ChannelState {
            channel: channel.to_string(),
            applied_until: acknowledged.map(|acknowledged| acknowledged.at),
            caught_up: lag.is_caught_up,
            lag_seconds: lag.seconds,
        }
    };

    DeviceState {
        channels: device.channels.iter().map(channel_state).collect(),
        user: device.user,
        first_seen: device.first_seen,
        last_seen: device.last_seen,
        app_version: device.app_version,
        device_id: device.device_id,
        conflicts,
    }
}
