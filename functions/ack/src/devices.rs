//! Lists the devices of a user or of a tenant with their lag and their unacknowledged resolutions.
//! Both are derived from acknowledged positions, the heads of the logs, and resolved conflicts.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_http::Request;
use tidemark_app::delivery::{self, Budget};
use tidemark_aws::{
    Context, Error, http,
    tables::{
        conflicts::{DeviceConflict, NewestConflicts},
        devices::StoredDevice,
    },
};
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        limits::{DEVICE_LOOKS_MAX, RESPONSE_BYTES_MAX, escaped_bytes, is_name},
        principal::Principal,
    },
    rules::{ack, delivery::AwaitedVersion, sequence::plan::Head},
    wire::{
        ack::{ChannelState, DeviceConflicts, DeviceState, DevicesResponse},
        cursor,
        problem::{Problem, ProblemCode},
    },
};

/// The name of the list of a tenant's devices in cursors.
const OF_TENANT: &str = "devices?scope=tenant";
/// The bytes reserved for the response around the devices.
const ENVELOPE_BYTES: usize = 20 * 1000;
/// The number of devices whose conflicts are evaluated concurrently.
const PARALLEL_DEVICES: usize = 8;

pub(crate) async fn list(context: &Context, request: &Request) -> Result<DevicesResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    match http::query_parameter(request, "scope") {
        None | Some("user") => of_user(context, request, &principal).await,
        Some("tenant") => of_tenant(context, request, &principal).await,
        Some(_) => Err(Problem::malformed("scope", "must be user or tenant").into()),
    }
}

async fn of_user(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<DevicesResponse, Error> {
    let limit = http::list_limit(request)?;
    let name = |parameter| match http::query_parameter(request, parameter) {
        Some(text) if !is_name(text) => Err(Problem::malformed(
            parameter,
            "must not be longer than 256 bytes",
        )),
        text => Ok(text),
    };
    let user = name("user")?.unwrap_or(&principal.user);
    let after = name("cursor")?;

    if user != principal.user && !principal.is_admin() {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "other users' devices require the role admin",
        )
        .into());
    }

    let (devices, more) = context
        .tables
        .devices
        .list(&principal.tenant, user, after, limit)
        .await?;
    let devices = states(context, &principal.tenant, devices).await?;

    let next_cursor = devices
        .last()
        .filter(|_| more)
        .map(|device| device.device_id.clone());
    Ok(DevicesResponse {
        devices,
        next_cursor,
    })
}

/// Lists the devices of a tenant. A page ends before a device that does not fit the response.
async fn of_tenant(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<DevicesResponse, Error> {
    http::admin(principal)?;
    if http::query_parameter(request, "user").is_some() {
        return Err(Problem::malformed(
            "user",
            "scope=tenant lists the devices of all users: omit this parameter",
        )
        .into());
    }

    let limit = http::list_limit(request)?;
    let after =
        http::query_parameter(request, "cursor").map(|text| cursor::decode(OF_TENANT, text));
    let after = after.transpose().map_err(|error| {
        Problem::new(ProblemCode::InvalidCursor, error.to_string()).at("cursor")
    })?;

    let (devices, mut next) = context
        .tables
        .devices
        .of_tenant(&principal.tenant, after, limit)
        .await?;
    let mut devices = states(context, &principal.tenant, devices).await?;

    let mut bytes_left = RESPONSE_BYTES_MAX - ENVELOPE_BYTES;
    let mut fitting = 0;
    for device in &devices {
        let text =
            serde_json::to_string(device).map_err(|error| Error::unencoded("device", error))?;
        let Some(left) = bytes_left.checked_sub(escaped_bytes(&text)) else {
            break;
        };
        (bytes_left, fitting) = (left, fitting + 1);
    }

    if fitting < devices.len() {
        devices.truncate(fitting.max(1));
        next = devices
            .last()
            .map(|device| [device.user.clone(), device.device_id.clone()]);
    }
    let next_cursor = next.map(|[user, device_id]| cursor::encode(OF_TENANT, [&user, &device_id]));
    Ok(DevicesResponse {
        devices,
        next_cursor,
    })
}

async fn states(
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
    let (heads, budget) = (&heads, &Budget::default());
    let states = devices
        .into_iter()
        .zip(newest)
        .map(async |(device, newest)| {
            let conflicts = count(context, tenant, &device, newest, budget).await?;
            Ok::<_, Error>(state(device, conflicts, heads, now))
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

async fn count(
    context: &Context,
    tenant: &str,
    device: &StoredDevice,
    newest: NewestConflicts,
    budget: &Budget,
) -> Result<DeviceConflicts, Error> {
    let mut counted = DeviceConflicts {
        open: newest.open,
        has_more: newest.has_more,
        ..DeviceConflicts::default()
    };
    let mut looks_left = DEVICE_LOOKS_MAX;

    for DeviceConflict { resource, outcome } in newest.resolved {
        // Version 0 means that the resolution wrote no resource, so there is nothing to pull: the
        // response to the push or an admin informs the device.
        if outcome.server_version == 0 {
            continue;
        }
        let awaited = AwaitedVersion {
            resource: &resource,
            server_version: outcome.server_version,
            made_at: outcome.resolved_at,
        };
        if !is_acknowledged(context, tenant, device, &awaited, (&mut looks_left, budget)).await? {
            counted.unacknowledged += 1;
        }
    }
    Ok(counted)
}

/// Returns whether a device has acknowledged a resolution. Reads the log only if the age of the
/// acknowledged position does not determine it.
async fn is_acknowledged(
    context: &Context,
    tenant: &str,
    device: &StoredDevice,
    awaited: &AwaitedVersion<'_>,
    (looks_left, budget): (&mut usize, &Budget),
) -> Result<bool, Error> {
    let channel = &awaited.resource.channel;
    let Some(acknowledged) = device.positions.get(channel) else {
        return Ok(false);
    };

    match awaited.is_delivered_by_age(acknowledged) {
        Some(delivered) => Ok(delivered),
        None if *looks_left == 0 || budget.is_exhausted() => Ok(false),
        None => {
            *looks_left -= 1;
            let scope = Scope {
                tenant: tenant.to_owned(),
                channel: channel.clone(),
            };
            delivery::is_delivered_at(context, &scope, acknowledged, awaited, budget).await
        }
    }
}

fn state(
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
