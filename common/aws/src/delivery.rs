//! What was delivered (§4.8), looked up: how far a device has acknowledged, and whether the log
//! holds a version before that.

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

/// Segments of one read backwards.
const SEGMENTS: i32 = 16;

/// Whether the device `device_id` of `user` has acknowledged a version of a resource, or a newer
/// one. It takes one read where the device has acknowledged nothing of the channel, else three or
/// more.
///
/// # Errors
/// An outage.
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
    look_back(context, &scope, &acknowledged, awaited, &Budget::default()).await
}

/// How much of the log a request still may read to find out what was delivered. Looks that are made
/// side by side share it.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicUsize::new(DELIVERY_BYTES_MAX))
    }
}

impl Budget {
    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn spend(&self, bytes: usize) {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
    }
}

/// Whether a position is behind a version, or a newer one, in the log. It takes one read or more,
/// as far as the `budget` goes.
///
/// # Errors
/// An outage.
pub async fn look_back(
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
            SegmentScan::GoOn(before) => before,
        },
        PositionStatus::Expired => return Ok(awaited.is_long_delivered(acknowledged)),
        PositionStatus::Beyond => return Ok(false),
    };
    let mut looked = 0;
    while looked < DELIVERY_SEGMENTS_MAX && !budget.is_spent() {
        let read = changes.packed_segments_back(scope, end, SEGMENTS).await?;
        if read.is_empty() {
            break; // the log has expired there
        }
        looked += read.len();
        for packed in read {
            match look(&packed.unpack()?, acknowledged, awaited, budget) {
                SegmentScan::Delivered => return Ok(true),
                SegmentScan::NotYet => return Ok(false),
                SegmentScan::GoOn(before) => end = before,
            }
            if budget.is_spent() {
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
