//! Looks up whether a version was delivered (§4.8): how far the device has acknowledged, and
//! whether the change log holds the version before that position.

use std::sync::atomic::{AtomicUsize, Ordering};

use tidemark_core::{
    ack::AckPosition,
    channel::Scope,
    delivery::{AwaitedVersion, SegmentScan},
    limits::{DELIVERY_BYTES_MAX, DELIVERY_SEGMENTS_MAX},
};

use crate::{
    context::Context,
    failure::Failure,
    tables::changes::{PositionStatus, StoredSegment},
};

/// Segments per backward query.
const SEGMENTS: i32 = 16;

/// Returns whether the device `device_id` of `user` has acknowledged a version of a resource, or a
/// newer one. Costs one read if the device has acknowledged nothing in the channel, otherwise three
/// or more.
///
/// # Errors
/// Returns `Failure::Outage` if DynamoDB is unavailable.
pub async fn is_delivered(
    context: &Context,
    tenant: &str,
    user: &str,
    device_id: &str,
    awaited: &AwaitedVersion<'_>,
) -> Result<bool, Failure> {
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

    read_backward(context, &scope, &acknowledged, awaited, &Budget::default()).await
}

/// The bytes of the change log that a request may still read to determine what was delivered.
/// Concurrent lookups share it.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicUsize::new(DELIVERY_BYTES_MAX))
    }
}

impl Budget {
    /// Returns whether the budget is used up.
    pub fn is_exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn spend(&self, bytes: usize) {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
    }
}

/// Returns whether `acknowledged` is a position after the version, or a newer one, in the log.
/// Costs one read or more, limited by `budget`.
///
/// # Errors
/// Returns `Failure::Outage` if DynamoDB is unavailable or a segment cannot be decoded.
pub async fn read_backward(
    context: &Context,
    scope: &Scope,
    acknowledged: &AckPosition,
    awaited: &AwaitedVersion<'_>,
    budget: &Budget,
) -> Result<bool, Failure> {
    let changes = &context.tables.changes;

    let mut end = match changes.place(scope, acknowledged.position).await? {
        PositionStatus::Segment(segment) => match look(&segment, acknowledged, awaited, budget) {
            SegmentScan::Delivered => return Ok(true),
            SegmentScan::NotYet => return Ok(false),
            SegmentScan::Continue(before) => before,
        },
        PositionStatus::Expired => return Ok(awaited.is_long_delivered(acknowledged)),
        PositionStatus::Beyond => return Ok(false),
    };

    let mut looked = 0;
    while looked < DELIVERY_SEGMENTS_MAX && !budget.is_exhausted() {
        let read = changes.packed_segments_back(scope, end, SEGMENTS).await?;
        if read.is_empty() {
            break; // older segments have expired
        }

        looked += read.len();
        for packed in read {
            match look(&packed.unpack()?, acknowledged, awaited, budget) {
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

fn look(
    stored: &StoredSegment,
    acknowledged: &AckPosition,
    awaited: &AwaitedVersion<'_>,
    budget: &Budget,
) -> SegmentScan {
    budget.spend(stored.segment.bytes());
    awaited.look(acknowledged, &stored.segment, stored.sequenced_at)
}
