//! The devices of a user, and how far behind each is: derived now, from what they acknowledged and where the log is.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use lambda_http::Request;
use tidemark_aws::{Failure, Platform, edge, tables::devices::StoredDevice};
use tidemark_core::{
    ack,
    channel::{Channel, Scope},
    limits::is_name,
    protocol::{
        ack::{ChannelState, DeviceState, DevicesResponse},
        problem::{Problem, ProblemCode},
    },
    sequence::plan::Head,
};

pub(crate) async fn list(platform: &Platform, request: &Request) -> Result<DevicesResponse, Failure> {
    let principal = platform.verifier.principal(request).await?;
    let limit = edge::list_limit(request)?;
    let name = |parameter| match edge::query_parameter(request, parameter) {
        Some(text) if !is_name(text) => Err(Problem::malformed(parameter, "must not be longer than 256 bytes")),
        text => Ok(text),
    };
    let user = name("user")?.unwrap_or(&principal.user);
    let after = name("cursor")?;
    if user != principal.user && !principal.is_admin() {
        return Err(Problem::new(ProblemCode::Forbidden, "other users' devices are for users with the role admin").into());
    }
    let (devices, more) = platform.tables.devices.list(&principal.tenant, user, after, limit).await?;
    let heads = heads(platform, &principal.tenant, &devices).await?;
    let now = platform.clock.now();
    let devices: Vec<DeviceState> = devices.into_iter().map(|device| state(device, user, &heads, now)).collect();
    let next_cursor = devices.last().filter(|_| more).map(|device| device.device_id.clone());
    Ok(DevicesResponse { devices, next_cursor })
}

/// The heads of all their channels.
async fn heads(platform: &Platform, tenant: &str, devices: &[StoredDevice]) -> Result<HashMap<Channel, Option<Head>>, Failure> {
    let channels: BTreeSet<&Channel> = devices.iter().flat_map(|device| &device.channels).collect();
    let scopes: Vec<Scope> =
        channels.into_iter().map(|channel| Scope { tenant: tenant.to_owned(), channel: channel.clone() }).collect();
    let heads = platform.tables.changes.heads(&scopes).await?;
    Ok(scopes.into_iter().map(|scope| scope.channel).zip(heads).collect())
}

fn state(device: StoredDevice, user: &str, heads: &HashMap<Channel, Option<Head>>, now: DateTime<Utc>) -> DeviceState {
    let channel_state = |channel: &Channel| {
        let acknowledged = device.positions.get(channel);
        let lag = ack::lag(acknowledged, heads.get(channel).and_then(Option::as_ref), now);
        ChannelState {
            channel: channel.to_string(),
            applied_until: acknowledged.map(|acknowledged| acknowledged.at),
            caught_up: lag.is_caught_up,
            lag_seconds: lag.seconds,
        }
    };
    DeviceState {
        channels: device.channels.iter().map(channel_state).collect(),
        user: user.to_owned(),
        first_seen: device.first_seen,
        last_seen: device.last_seen,
        app_version: device.app_version,
        device_id: device.device_id,
    }
}
