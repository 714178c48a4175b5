//! Fills a page from the cursors of the caller's channels.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::{
        channel::Channel,
        principal::{Author, Principal},
        receipts::Receipts,
    },
    rules::pull::{own::Own, page::Page},
    wire::pull::{OwnChanges, PullRequest},
};

use super::cursor::{Cursor, FillOutcome};

/// The number of channels whose first reads are sent concurrently.
const PARALLEL_READS: usize = 4;
/// The maximum number of reads of one pull. A page whose entries are all the device's own changes
/// ends there, empty and with `has_more`.
const READS_MAX: u32 = 40;

/// Fills a page for the requesting device from the `opened` cursors. Returns the page and the
/// advanced cursors.
pub(super) async fn fill_for(
    context: &Context,
    principal: &Principal,
    request: &PullRequest,
    receipts: &Receipts,
    opened: Vec<Cursor>,
    now: DateTime<Utc>,
) -> Result<(Page, Vec<Cursor>), Error> {
    let reader = request
        .device_id
        .as_ref()
        .map(|device_id| Author::device(&principal.user, device_id));
    let page = || Page::new(request.limit, reader.as_ref());

    if request.own_changes == Some(OwnChanges::WithoutReceipt) {
        let (mut page, mut cursors) = (
            page().with_own(Own::WithoutReceipt(receipts.clone())),
            opened,
        );
        fill(context, &mut page, &mut cursors, now).await?;
        return Ok((page, cursors));
    }

    let (mut first, mut cursors) = (page(), opened.clone());
    fill(context, &mut first, &mut cursors, now).await?;
    // The acknowledged positions matter only if an own change was left out.
    let Some(device_id) = request
        .device_id
        .as_ref()
        .filter(|_| first.leaves_own_out())
    else {
        return Ok((first, cursors));
    };
    let rewound_channels = rewound_channels(context, principal, device_id, &opened).await?;
    if rewound_channels.is_empty() {
        return Ok((first, cursors));
    }

    let (mut page, mut cursors) = (page().with_own(Own::Omit(rewound_channels)), opened);
    fill(context, &mut page, &mut cursors, now).await?;
    Ok((page, cursors))
}

/// Returns the channels in which the device pulls again what it has acknowledged, because it was
/// restored from a backup. There its own changes are delivered too.
async fn rewound_channels(
    context: &Context,
    principal: &Principal,
    device_id: &str,
    opened: &[Cursor],
) -> Result<BTreeSet<Channel>, Error> {
    let device = context
        .tables
        .devices
        .load(&principal.tenant, &principal.user, device_id)
        .await?;
    let Some(device) = device else {
        return Ok(BTreeSet::new());
    };

    Ok(opened
        .iter()
        .filter(|cursor| cursor.is_before(&device.positions))
        .map(Cursor::channel)
        .cloned()
        .collect())
}

/// Fills the page channel by channel. The first reads of several channels are sent concurrently.
async fn fill(
    context: &Context,
    page: &mut Page,
    cursors: &mut [Cursor],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut reads_left = READS_MAX;
    let mut pending: Vec<&mut Cursor> = cursors
        .iter_mut()
        .filter(|cursor| !cursor.is_caught_up())
        .collect();

    for round in pending.chunks_mut(PARALLEL_READS) {
        if page.room() == 0 || page.is_exhausted() {
            return Ok(());
        }
        let first = try_join_all(
            round
                .iter()
                .map(|cursor| cursor.read(context, page.room(), 0)),
        )
        .await?;
        for (cursor, first) in round.iter_mut().zip(first) {
            let mut read = first;
            let mut reads = 1;
            while cursor.take(page, read, now)? == FillOutcome::WantsMore
                && page.room() > 0
                && !page.is_exhausted()
                && reads_left > 0
            {
                read = cursor.read(context, page.room(), reads).await?;
                reads += 1;
                reads_left -= 1;
            }
        }
    }
    Ok(())
}
