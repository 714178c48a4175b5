//! Lists received batches by the index `by_received`.

use std::ops::RangeInclusive;

use tidemark_core::{
    model::{batch::BatchFilter, ids::BatchId, key, limits::UNANSWERED_BATCHES_EXAMINED_MAX},
    rules::batch_list::ShardPage,
};

use super::SyncItems;
use crate::{
    error::Error,
    tables::{
        Row,
        sync_batches::index::{BatchIndex, BatchIndexQuery},
        text,
    },
};

/// The index of all batches by the time at which their items were stored.
const BY_RECEIVED: BatchIndex = BatchIndex {
    name: "by_received",
    shard: "rk",
    place: "r_at",
};

impl SyncItems {
    /// Reads the ids of the batches of the filter's user and device in these places, whatever their
    /// outcome. The index is eventually consistent.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn received(
        &self,
        tenant: &str,
        filter: &BatchFilter,
        places: RangeInclusive<i64>,
    ) -> Result<Vec<ShardPage<BatchId>>, Error> {
        // The key continues with the batch, so the prefix ends at the boundary of a part.
        let owner = filter.user.as_ref().map(|user| {
            let prefix = match &filter.device_id {
                Some(device_id) => key::join([tenant, user, device_id]),
                None => key::join([tenant, user]),
            };
            ("begins_with(pk, :owner)", format!("{prefix}#"))
        });

        let query = BatchIndexQuery {
            tenant,
            filter,
            places,
            owner,
            condition: None,
            examined_max: UNANSWERED_BATCHES_EXAMINED_MAX,
        };
        BY_RECEIVED.read(&self.table, &query, id_of).await
    }
}

/// Returns the id of the batch with this key.
fn id_of(row: &Row) -> Option<BatchId> {
    let [_, user, device_id, unique] = key::split(text(row, "pk")?)?;
    Some(BatchId {
        user,
        device_id,
        unique,
    })
}
