//! What was delivered (§4.8), looked up: how far a device has acknowledged, and whether the log holds a version before that.

use tidemark_core::{
    ack::Acknowledged,
    channel::Scope,
    delivery::{Awaited, Seen},
    limits::DELIVERY_SEGMENTS_MAX,
    sequence::position::Position,
};

use crate::{
    failure::Failure,
    platform::Platform,
    tables::changes::{Place, StoredSegment},
};

/// Segments of one read backwards.
const SEGMENTS: i32 = 16;

/// Whether the device `device_id` of `user` has acknowledged a version of a resource, or a newer one. It takes one read where the
/// device has acknowledged nothing of the channel, else three or more.
///
/// # Errors
/// An outage.
pub async fn is_delivered(
    platform: &Platform,
    tenant: &str,
    user: &str,
    device_id: &str,
    awaited: &Awaited<'_>,
) -> Result<bool, Failure> {
    let channel = &awaited.resource.channel;
    let device = platform.tables.devices.load(tenant, user, device_id).await?;
    let Some(acknowledged) = device.and_then(|device| device.positions.get(channel).copied()) else { return Ok(false) };
    let scope = Scope { tenant: tenant.to_owned(), channel: channel.clone() };
    look_back(platform, &scope, &acknowledged, awaited).await
}

/// Whether a position is behind a version, or a newer one, in the log. It takes one read or more.
///
/// # Errors
/// An outage.
pub async fn look_back(
    platform: &Platform,
    scope: &Scope,
    acknowledged: &Acknowledged,
    awaited: &Awaited<'_>,
) -> Result<bool, Failure> {
    let changes = &platform.tables.changes;
    let (mut read, mut looked) = match changes.place(scope, acknowledged.position).await? {
        Place::Segment(segment) => (vec![segment], 0),
        Place::Expired => (Vec::new(), 0),
        Place::Beyond => return Ok(false),
    };
    while !read.is_empty() {
        let mut end = Position::START;
        for StoredSegment { segment, sequenced_at } in &read {
            match awaited.look(acknowledged, segment, *sequenced_at) {
                Seen::Delivered => return Ok(true),
                Seen::NotYet => return Ok(false),
                Seen::GoOn(before) => end = before,
            }
        }
        looked += read.len();
        if looked > DELIVERY_SEGMENTS_MAX {
            break;
        }
        read = changes.segments_back(scope, end, SEGMENTS).await?; // nothing, where the log has expired
    }
    Ok(awaited.is_long_delivered(acknowledged))
}
