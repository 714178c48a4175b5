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
/// or more.
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
) -> Result<bool, Error> {
    let channel = &awaited.resource.channel;
    let device = context.tables.devices.load(tenant, user, device_id).await?;

    let Some(acknowledged) = device.and_then(|device| device.positions.get(channel).copied())
    else {
        return Ok(false);
    };

    let scope = Scope {
        tenant: tenant.to_owned(),
        channel: channel.clone(),
    };

    is_delivered_at(context, &scope, &acknowledged, awaited, &Budget::default()).await
}

/// The bytes of the change log that a request may still read to determine what was delivered. The
/// concurrent lookups of the request share it.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicUsize::new(DELIVERY_BYTES_MAX))
    }
}

impl Budget {
    /// Returns whether no bytes are left.
    pub fn is_exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Subtracts `bytes`, as far as they are left.
    fn spend(&self, bytes: usize) {
        let subtract = |left: usize| Some(left.saturating_sub(bytes));
        // The function returns no `None`, so the update cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
    }
}

/// Returns whether the log contains the version, or a newer version of the resource, at or before
/// the position `acknowledged`. Costs one read or more; `budget` bounds the bytes.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment cannot
/// be decoded.
pub async fn is_delivered_at(
    context: &Context,
    scope: &Scope,
    acknowledged: &AckPosition,
    awaited: &AwaitedVersion<'_>,
    budget: &Budget,
) -> Result<bool, Error> {
    let changes = &context.tables.changes;

    let mut end = match changes.locate(scope, acknowledged.position).await? {
        PositionStatus::Segment(segment) => {
            match scan_segment(&segment, acknowledged, awaited, budget) {
                SegmentScan::Delivered => return Ok(true),
                SegmentScan::NotYet => return Ok(false),
                SegmentScan::Continue(before) => before,
            }
        }
        PositionStatus::Expired => return Ok(awaited.is_long_delivered(acknowledged)),
        PositionStatus::Beyond => return Ok(false),
    };

    let mut segments_read = 0;
    while segments_read < DELIVERY_SEGMENTS_MAX && !budget.is_exhausted() {
        let read = changes
            .packed_segments_back(scope, end, QUERY_SEGMENTS_MAX)
            .await?;
        if read.is_empty() {
            break; // older segments have expired
        }

        segments_read += read.len();
        for packed in read {
            match scan_segment(&packed.unpack()?, acknowledged, awaited, budget) {
                SegmentScan::Delivered => return Ok(true),
                SegmentScan::NotYet => return Ok(false),
                SegmentScan::Continue(before) => end = before,
            }
            if budget.is_exhausted() {
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
    budget: &Budget,
) -> SegmentScan {
    budget.spend(stored.segment.bytes());
    awaited.scan(acknowledged, &stored.segment, stored.sequenced_at)
}
