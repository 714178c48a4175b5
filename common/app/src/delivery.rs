//! Determines whether a device has received a version (§4.8): reads the position that the device
//! acknowledged, and searches the change log backward from it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tidemark_core::{
    model::{
        channel::Scope,
        limits::{DELIVERY_BYTES_MAX, DELIVERY_SEGMENTS_MAX},
    },
    rules::{
        ack::AckPosition,
        delivery::{AwaitedVersion, SegmentScan},
    },
};

use tidemark_aws::{
    context::Context,
    error::Error,
    tables::changes::{PositionStatus, QUERY_SEGMENTS_MAX, StoredSegment},
};

/// Returns whether the device `device_id` of `user` has acknowledged a version of a resource, or a
/// newer one. Costs one read if the device has acknowledged nothing in the channel, otherwise two
/// or more; `allowance` bounds the bytes.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be
/// decoded.
pub async fn is_delivered(
    context: &Context,
    tenant: &str,
    user: &str,
    device_id: &str,
    awaited: &AwaitedVersion<'_>,
    allowance: &ReadAllowance,
) -> Result<bool, Error> {
    let channel = &awaited.resource.channel;
    let device = context.tables.devices.load(tenant, user, device_id).await?;

    let Some(acknowledged) = device.and_then(|device| device.positions.get(channel).copied())
    else {
        return Ok(false);
    };

    is_delivered_at(context, tenant, &acknowledged, awaited, allowance).await
}

/// Returns whether the log contains the version, or a newer version of the resource, at or before
/// the position `acknowledged`.
///
/// If the segments at or before that position have expired, the position is the start of the log,
/// or [`DELIVERY_SEGMENTS_MAX`] further segments or the bytes of `allowance` were read, returns
/// whether the position was current more than `STREAM_HOURS` after the version was made. The result
/// may then be `false` although the device has the version.
///
/// Costs one read or more; `allowance` bounds the bytes.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment cannot
/// be decoded.
pub async fn is_delivered_at(
    context: &Context,
    tenant: &str,
    acknowledged: &AckPosition,
    awaited: &AwaitedVersion<'_>,
    allowance: &ReadAllowance,
) -> Result<bool, Error> {
    let changes = &context.tables.changes;
    let scope = Scope {
        tenant: tenant.to_owned(),
        channel: awaited.resource.channel.clone(),
    };

    let mut end = match changes.locate(&scope, acknowledged.position).await? {
        PositionStatus::Segment(segment) => {
            match scan_segment(&segment, acknowledged, awaited, allowance) {
                SegmentScan::Delivered => return Ok(true),
                SegmentScan::NotYet => return Ok(false),
                SegmentScan::Continue(before) => before,
            }
        }
        PositionStatus::Expired => return Ok(awaited.is_long_delivered(acknowledged)),
        PositionStatus::Beyond => return Ok(false),
    };

    let mut segments_read = 0;
    while segments_read < DELIVERY_SEGMENTS_MAX && !allowance.is_exhausted() {
        let read = changes
            .packed_segments_back(&scope, end, QUERY_SEGMENTS_MAX)
            .await?;
        if read.is_empty() {
            break; // older segments have expired
        }

        segments_read += read.len();
        for packed in read {
            match scan_segment(&packed.unpack()?, acknowledged, awaited, allowance) {
                SegmentScan::Delivered => return Ok(true),
                SegmentScan::NotYet => return Ok(false),
                SegmentScan::Continue(before) => end = before,
            }
            if allowance.is_exhausted() {
                break;
            }
        }
    }

    Ok(awaited.is_long_delivered(acknowledged))
}

fn scan_segment(
    stored: &StoredSegment,
    acknowledged: &AckPosition,
    awaited: &AwaitedVersion<'_>,
    allowance: &ReadAllowance,
) -> SegmentScan {
    allowance.spend(stored.segment.bytes());
    awaited.scan(acknowledged, &stored.segment, stored.sequenced_at)
}

/// The bytes of decompressed entries that one request may still read backwards, to determine what
/// was delivered and to find the base of a conflict. All lookups of the request share it.
#[derive(Debug)]
pub struct ReadAllowance(AtomicUsize);

impl Default for ReadAllowance {
    fn default() -> Self {
        Self(AtomicUsize::new(DELIVERY_BYTES_MAX))
    }
}

impl ReadAllowance {
    /// Returns whether no bytes are left.
    pub fn is_exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Subtracts `bytes`, as far as they are left.
    pub(crate) fn spend(&self, bytes: usize) {
        let subtract = |left: usize| Some(left.saturating_sub(bytes));
        // The function returns no `None`, so the update cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
    }
}
