//! Lists the devices of a user or of a tenant (§4.8) with their lag and their unacknowledged
//! resolutions.

mod state;

use tidemark_aws::{Context, Error, tables::devices::DeviceKey};
use tidemark_core::{
    model::{
        limits::{RESPONSE_BYTES_MAX, escaped_bytes, is_name},
        principal::Principal,
    },
    wire::{
        ack::{DeviceState, DevicesResponse},
        cursor,
        problem::{Problem, ProblemCode},
    },
};

use crate::cursors;

/// The name of the list of a tenant's devices in cursors.
const OF_TENANT: &str = "devices?scope=tenant";
/// The bytes reserved for the response around the devices.
const ENVELOPE_BYTES: usize = 20 * 1000;

/// Lists at most `limit` devices of `user`, by default the caller, after the device with the id
/// `after`.
///
/// # Errors
/// Returns a 403 problem if the user is not the caller and the caller is neither an admin nor a
/// viewer, `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be
/// decoded.
pub async fn of_user(
    context: &Context,
    principal: &Principal,
    user: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Result<DevicesResponse, Error> {
    let user = user.unwrap_or(&principal.user);
    if user != principal.user && !principal.is_viewer() {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "other users' devices require the role admin or viewer",
        )
        .into());
    }

    let (devices, more) = context
        .tables
        .devices
        .list(&principal.tenant, user, after, limit)
        .await?;
    let devices = state::load_all(context, &principal.tenant, devices).await?;

    let next_cursor = devices
        .last()
        .filter(|_| more)
        .map(|device| device.device_id.clone());
    Ok(DevicesResponse {
        devices,
        next_cursor,
    })
}

/// Decodes the cursor of the list of a tenant's devices.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this list.
pub fn decode_cursor(cursor: Option<&str>) -> Result<Option<DeviceKey>, Problem> {
    let after: Option<DeviceKey> = cursors::decode(OF_TENANT, cursor)?;
    // Longer names would exceed the bound of a key.
    match after {
        Some(names) if !names.iter().all(|name| is_name(name)) => Err(cursors::invalid()),
        after => Ok(after),
    }
}

/// Lists at most `limit` devices of the caller's tenant. The caller is an admin or a viewer. A page
/// ends before a device that does not fit the response.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be
/// decoded.
pub async fn of_tenant(
    context: &Context,
    principal: &Principal,
    after: Option<DeviceKey>,
    limit: usize,
) -> Result<DevicesResponse, Error> {
    let (devices, mut next) = context
        .tables
        .devices
        .of_tenant(&principal.tenant, after, limit)
        .await?;
    let mut devices = state::load_all(context, &principal.tenant, devices).await?;

    let fitting = count_fitting(&devices)?;
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

/// Returns how many of the devices fit into one response, from the first one.
fn count_fitting(devices: &[DeviceState]) -> Result<usize, Error> {
    let mut bytes_left = RESPONSE_BYTES_MAX - ENVELOPE_BYTES;
    for (index, device) in devices.iter().enumerate() {
        let text =
            serde_json::to_string(device).map_err(|error| Error::unencoded("device", error))?;
        let Some(left) = bytes_left.checked_sub(escaped_bytes(&text)) else {
            return Ok(index);
        };
        bytes_left = left;
    }
    Ok(devices.len())
}
