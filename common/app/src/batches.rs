//! Stored batches (§7): loads the raw items and the results of a push, and returns them to the user
//! of the batch and to readers of the tenant. Lists batches by their outcome.

mod list;

use tidemark_aws::{
    Context, Error,
    tables::{
        sync_batches::{CompletedBatch, ReadBatch},
        sync_items::RawBatch,
    },
    telemetry,
};
use tidemark_core::{
    model::{ids::BatchId, principal::Principal},
    rules::batch::{self, ItemPage},
    wire::{batches::BatchResponse, problem::Problem},
};

pub use list::{decode_cursor, list};

/// A batch with its stored items and results.
pub(crate) struct StoredBatch {
    pub(crate) id: BatchId,
    pub(crate) raw: RawBatch,
    pub(crate) read: ReadBatch,
}

impl StoredBatch {
    /// Loads the batch with this id in the caller's tenant. Only admins and viewers may load batches
    /// of other users. The id contains the user, so a batch that the caller may not access is not
    /// read, and the error is the same as for a batch that does not exist.
    ///
    /// # Errors
    /// Returns a `not_found` problem if the batch does not exist or belongs to another user, and
    /// `Error::Unavailable` or `Error::Corrupt` if its rows cannot be read.
    pub(crate) async fn load(
        context: &Context,
        principal: &Principal,
        id: &str,
    ) -> Result<Self, Error> {
        let id = BatchId::parse(id).ok_or_else(Problem::not_found)?;
        if id.user != principal.user && !principal.is_viewer() {
            return Err(Problem::not_found().into());
        }
        telemetry::device(&id.device_id);

        let tenant = &principal.tenant;
        let raw = context
            .tables
            .sync_items
            .load(tenant, &id, context.clock.now())
            .await?
            .ok_or_else(Problem::not_found)?;
        let read = context
            .tables
            .sync_batches
            .read(tenant, &id, &raw.digest)
            .await?;
        Ok(Self { id, raw, read })
    }
}

/// Returns a stored batch: the raw items from the index `from`, the results, and whether the device
/// has received the outcome.
///
/// # Errors
/// Returns a `not_found` problem if the batch does not exist or belongs to another user and the
/// caller is neither an admin nor a viewer, and `Error::Unavailable` if DynamoDB is unavailable.
pub async fn get(
    context: &Context,
    principal: &Principal,
    id: &str,
    from: usize,
) -> Result<BatchResponse, Error> {
    let StoredBatch { id, raw, read } = StoredBatch::load(context, principal, id).await?;
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
    } = batch::page(raw.items, from);
    Ok(BatchResponse {
        batch_id: id.to_string(),
        user: id.user,
        device_id: id.device_id,
        received_at: raw.received_at,
        processed_at,
        items,
        next_item,
        items_omitted: omitted,
        results: results.map(|results| results.into_iter().map(Into::into).collect()),
        delivered,
    })
}
