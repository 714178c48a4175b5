//! Returns a stored batch: raw items, results, and whether the device has received the outcome.

use lambda_http::Request;
use tidemark_aws::{Context, Error, http, tables::sync_batches::CompletedBatch};
use tidemark_core::{
    model::limits::BATCH_ITEMS_MAX,
    rules::batch::{self, ItemPage},
    wire::{batches::BatchResponse, problem::Problem},
};

use crate::{StoredBatch, load_batch};

pub(crate) async fn show(context: &Context, request: &Request) -> Result<BatchResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let from = first_item(request)?;
    let StoredBatch { id, kept, read } = load_batch(context, &principal, request).await?;
    let (processed_at, results) = match read.answered {
        Some(CompletedBatch {
            processed_at,
            results,
        }) => (Some(processed_at), Some(results.into_owned())),
        None => (None, None),
    };

    let device = context
        .tables
        .devices
        .load(&principal.tenant, &id.user, &id.device_id)
        .await?;
    let delivered = device
        .zip(processed_at)
        .is_some_and(|(device, processed_at)| {
            batch::is_delivered(&device.channels, &device.positions, processed_at)
        });

    let ItemPage {
        items,
        next_item,
        omitted,
    } = batch::page(kept.items, from);
    Ok(BatchResponse {
        batch_id: id.to_string(),
        user: id.user,
        device_id: id.device_id,
        received_at: kept.received_at,
        processed_at,
        items,
        next_item,
        items_omitted: omitted,
        results,
        delivered,
    })
}

/// Returns the index of the first requested item, from the query parameter `from`.
fn first_item(request: &Request) -> Result<usize, Problem> {
    let Some(from) = http::query_parameter(request, "from") else {
        return Ok(0);
    };
    let from = from.parse().ok().filter(|from| *from < BATCH_ITEMS_MAX);
    from.ok_or_else(|| {
        Problem::malformed(
            "from",
            format!("must be the index of an item, below {BATCH_ITEMS_MAX}"),
        )
    })
}
