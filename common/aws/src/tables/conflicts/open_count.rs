//! The approximate number of open conflicts of a device. A row counts opened conflicts. Resolutions
//! do not update it; instead, when the count reaches the limit, the open conflicts in the index are
//! counted and the row is reset to that number. An ordinary push therefore reads one additional
//! small row, and a resolution writes nothing here.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use tidemark_core::{
    model::{
        conflict::ConflictStatus,
        ids,
        limits::{OPEN_CONFLICTS_MAX, OPEN_CONFLICTS_RECOUNT_MINUTES},
    },
    rules::push::edit::Sender,
};

use super::{Conflicts, encode::number, index::BY_STATUS_LISTED, keys};
use crate::{
    error::Error,
    tables::{Row, from_row, key as row_key},
};

/// Maximum number of index pages that one count reads. A page has at most 1 MB, about 2,500 entries
/// of the shard, so a count reads at most about 50,000 entries of all devices of the shard.
const COUNTED_PAGES_MAX: usize = 20;

#[derive(Debug, Default, Deserialize)]
struct CountRow {
    /// The number of open conflicts at the last count of the index, plus the number of conflicts
    /// opened since. Resolutions do not decrease it.
    #[serde(default, rename = "open_count")]
    opened_since_count: u64,
    /// The time of the last count of the index, in milliseconds since 1970.
    #[serde(default)]
    counted_at: i64,
}

impl Conflicts {
    /// Returns whether the sender's device may open more conflicts.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the row
    /// cannot be decoded.
    pub async fn has_room(&self, sender: Sender<'_>, now: DateTime<Utc>) -> Result<bool, Error> {
        let row = self.0.batch_get(vec![count_key(sender)]).await?.pop();
        let row: CountRow = row
            .map(|row| from_row("count of conflicts", row))
            .transpose()?
            .unwrap_or_default();

        if row.opened_since_count < OPEN_CONFLICTS_MAX {
            return Ok(true);
        }

        let recount_after_ms = Duration::minutes(OPEN_CONFLICTS_RECOUNT_MINUTES).num_milliseconds();
        if now.timestamp_millis() - row.counted_at < recount_after_ms {
            return Ok(false);
        }

        let open = self.count_open_of_device(sender).await?;
        let set = "SET open_count = :open, counted_at = :now";
        let values = [
            (":open", number(open)),
            (":now", number(now.timestamp_millis())),
        ];
        self.update_count(sender, set, values).await?;
        Ok(open < OPEN_CONFLICTS_MAX)
    }

    /// Adds to the count of conflicts that the sender's device opened.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable. The count is then too low.
    pub async fn add_opened(&self, sender: Sender<'_>, opened: usize) -> Result<(), Error> {
        self.update_count(
            sender,
            "ADD open_count :opened",
            [(":opened", number(opened))],
        )
        .await
    }

    async fn update_count<const N: usize>(
        &self,
        sender: Sender<'_>,
        expression: &str,
        values: [(&str, AttributeValue); N],
    ) -> Result<(), Error> {
        let update = self
            .0
            .client
            .update_item()
            .table_name(&self.0.name)
            .set_key(Some(count_key(sender)));
        let values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();

        let update = update
            .update_expression(expression)
            .set_expression_attribute_values(Some(values));
        let response = update
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;

        response
            .map(drop)
            .map_err(|error| Error::failed_call("update_item on conflicts", error))
    }

    /// Returns a lower bound of the open conflicts of the device: stops at `OPEN_CONFLICTS_MAX` or
    /// after `COUNTED_PAGES_MAX` pages. The index is eventually consistent.
    async fn count_open_of_device(&self, sender: Sender<'_>) -> Result<u64, Error> {
        let tenant = &sender.principal.tenant;
        let device = ids::conflict_device(tenant, sender.author);
        let shard = keys::shard_key(tenant, ConflictStatus::Open, keys::shard(&device));

        let query = self
            .0
            .query_index(BY_STATUS_LISTED, "status_key", &shard)
            .select(Select::Count)
            .filter_expression("pk = :pk");
        let query = query.expression_attribute_values(
            ":pk",
            AttributeValue::S(keys::partition(tenant, &device)),
        );

        let (mut open, mut after) = (0, None);
        for _ in 0..COUNTED_PAGES_MAX {
            let response = query.clone().set_exclusive_start_key(after).send().await;
            let response = response
                .map_err(|error| Error::failed_call("query on conflicts by status", error))?;
            open += u64::try_from(response.count).unwrap_or_default();
            after = response.last_evaluated_key;
            if after.is_none() || open >= OPEN_CONFLICTS_MAX {
                break;
            }
        }
        Ok(open)
    }
}

fn count_key(sender: Sender<'_>) -> Row {
    let tenant = &sender.principal.tenant;
    row_key(
        keys::partition(tenant, &ids::conflict_device(tenant, sender.author)),
        keys::COUNT,
    )
}
