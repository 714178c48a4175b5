//! The index of conflicts by status and time of detection. It is divided into shards by device, and
//! each query reads one of them. Legacy conflicts are one additional shard per status.

mod merge;
mod range;
#[cfg(test)]
mod tests;

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use chrono::{DateTime, Utc};
use tidemark_core::model::{
    conflict::{ConflictFilter, ConflictStatus, ListOrder},
    ids,
    limits::{CONFLICT_SHARDS, CONFLICTS_SCANNED_MAX},
    principal::Author,
};

use super::{Conflicts, keys};
use crate::{
    error::Error,
    tables::{Row, key as row_key, text},
};

pub(super) use merge::merge;
pub use range::ConflictCursor;
use range::{KeyRange, TimeBounds};

/// The index by status and time of detection, with the attributes by which lists filter. Functions
/// of earlier builds read the index `by_status`, which contains keys only.
pub(super) const BY_STATUS_LISTED: &str = "by_status_listed";

/// A shard of the index: the conflicts of some devices with one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    /// The partition key in the index.
    key: String,
    /// The status of the conflicts.
    pub(super) status: ConflictStatus,
    /// For legacy conflicts, their partition in the table.
    legacy_partition: Option<String>,
}

impl Shard {
    /// Returns a shard with this number, below [`CONFLICT_SHARDS`].
    pub(super) fn numbered(tenant: &str, status: ConflictStatus, number: u8) -> Self {
        Self {
            key: keys::shard_key(tenant, status, number),
            status,
            legacy_partition: None,
        }
    }

    /// Returns the shard of the legacy conflicts.
    pub(super) fn legacy(tenant: &str, status: ConflictStatus) -> Self {
        Self {
            key: keys::legacy_status_key(tenant, status),
            status,
            legacy_partition: Some(tenant.to_owned()),
        }
    }

    /// Returns all shards with a status.
    pub(super) fn all(tenant: &str, status: ConflictStatus) -> Vec<Self> {
        (0..CONFLICT_SHARDS)
            .map(|number| Self::numbered(tenant, status, number))
            .chain([Self::legacy(tenant, status)])
            .collect()
    }

    /// Returns the shards that may contain conflicts of a list. The conflicts of one device are in
    /// one shard and among the legacy conflicts.
    pub(super) fn of_list(tenant: &str, filter: &ConflictFilter) -> Vec<Self> {
        let device = filter.user.as_deref().zip(filter.device_id.as_deref());
        let number = device.map(|(user, device_id)| {
            keys::shard(&ids::conflict_device(
                tenant,
                &Author::device(user, device_id),
            ))
        });

        let statuses = filter.status.statuses().iter();
        statuses
            .flat_map(|status| match number {
                None => Self::all(tenant, *status),
                Some(number) => vec![
                    Self::numbered(tenant, *status, number),
                    Self::legacy(tenant, *status),
                ],
            })
            .collect()
    }

    /// Returns whether the shard contains legacy conflicts.
    pub(super) const fn is_legacy(&self) -> bool {
        self.legacy_partition.is_some()
    }
}

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    /// The time of detection, with a suffix that makes it unique. Legacy conflicts have no suffix.
    pub(super) detected_at: String,
    pub(super) sk: String,
    pub(super) pk: String,
    /// The type of the resource and the code of the conflict. The end of a page lacks both.
    pub(super) resource_type: Option<String>,
    pub(super) code: Option<String>,
}

impl IndexEntry {
    fn read(row: &Row) -> Option<Self> {
        let owned = |name| text(row, name).map(ToOwned::to_owned);
        Some(Self {
            detected_at: owned("detected_at")?,
            sk: owned("sk")?,
            pk: owned("pk")?,
            resource_type: owned("resource_type"),
            code: owned("code"),
        })
    }

    /// Returns the cursor after this entry of a shard with this status.
    pub(super) fn cursor(self, status: ConflictStatus) -> ConflictCursor {
        ConflictCursor {
            detected_at: self.detected_at,
            sk: self.sk,
            status,
        }
    }
}

/// The entries that a query found in a shard.
#[derive(Debug, Clone, Default)]
pub(super) struct ShardPage {
    /// The entries that meet the conditions, in the order of the query.
    pub(super) entries: Vec<IndexEntry>,
    /// The last entry that was examined, whether or not it meets the conditions, if the shard may
    /// have more.
    pub(super) end: Option<IndexEntry>,
}

/// What a query reads of a shard.
#[derive(Debug, Clone)]
pub(super) struct IndexQuery<'a> {
    pub(super) order: ListOrder,
    pub(super) times: TimeBounds,
    /// Where the query continues.
    pub(super) after: Option<&'a ConflictCursor>,
    /// Attributes of the index and the values that they must have.
    pub(super) conditions: Vec<(&'static str, String)>,
    /// Maximum number of entries that are examined.
    pub(super) limit: usize,
}

impl<'a> IndexQuery<'a> {
    /// Returns a query of whole shards that examines at most `limit` entries.
    pub(super) fn first(order: ListOrder, limit: usize) -> Self {
        Self {
            order,
            times: TimeBounds::default(),
            after: None,
            conditions: Vec::new(),
            limit,
        }
    }

    /// Returns the query for a page of at most `limit` entries of a list. With conditions, a shard
    /// may have few entries that meet them, so more are examined.
    pub(super) fn of_list(
        filter: &ConflictFilter,
        after: Option<&'a ConflictCursor>,
        limit: usize,
    ) -> Self {
        let conditions: Vec<_> = [
            ("resource_type", filter.resource_type.clone()),
            ("resource_id", filter.resource_id.clone()),
            ("channel", filter.channel.as_ref().map(ToString::to_string)),
            ("user", filter.user.clone()),
            ("device_id", filter.device_id.clone()),
            ("code", filter.code.as_ref().map(ToString::to_string)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();

        let limit = if conditions.is_empty() {
            limit + 1
        } else {
            CONFLICTS_SCANNED_MAX
        };
        Self {
            order: filter.order,
            times: TimeBounds::between(filter.detected_from, filter.detected_until),
            after,
            conditions,
            limit,
        }
    }
}

impl Conflicts {
    /// Returns entries of a shard of the index. The index is eventually consistent. A response
    /// holds at most 1 MB, so it may end before the limit.
    pub(super) async fn indexed(
        &self,
        shard: &Shard,
        query: &IndexQuery<'_>,
    ) -> Result<ShardPage, Error> {
        let Some(range) = KeyRange::of(shard, query) else {
            return Ok(ShardPage::default());
        };
        // An entry at the cursor is read again and left out.
        let limit = query.limit + usize::from(range.excluded.is_some());

        let call = self
            .0
            .query_index(BY_STATUS_LISTED, "status_key", &shard.key)
            .key_condition_expression("#partition = :partition AND detected_at BETWEEN :lo AND :hi")
            .expression_attribute_values(":lo", AttributeValue::S(range.from))
            .expression_attribute_values(":hi", AttributeValue::S(range.until))
            .scan_index_forward(query.order == ListOrder::Oldest)
            .set_exclusive_start_key(range.start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));

        let response = with_conditions(call, &query.conditions).send().await;
        let response =
            response.map_err(|error| Error::failed_call("query on conflicts by status", error))?;

        let entries = response.items.unwrap_or_default();
        let entries = entries.iter().filter_map(IndexEntry::read);
        Ok(ShardPage {
            entries: entries
                .filter(|entry| Some(&entry.detected_at) != range.excluded.as_ref())
                .collect(),
            end: response
                .last_evaluated_key
                .as_ref()
                .and_then(IndexEntry::read),
        })
    }
}

/// Adds conditions to a query of the index. They apply to the entries that are examined.
fn with_conditions(
    mut call: QueryFluentBuilder,
    conditions: &[(&'static str, String)],
) -> QueryFluentBuilder {
    let mut tests = Vec::with_capacity(conditions.len());
    for (number, (name, value)) in conditions.iter().enumerate() {
        let (name_of, value_of) = (format!("#name{number}"), format!(":value{number}"));
        tests.push(format!("{name_of} = {value_of}"));
        call = call
            .expression_attribute_names(name_of, *name)
            .expression_attribute_values(value_of, AttributeValue::S(value.clone()));
    }

    let filter = Some(tests.join(" AND ")).filter(|filter| !filter.is_empty());
    call.set_filter_expression(filter)
}

/// Parses the time of detection of a row, without the suffix that makes it unique.
pub(super) fn detection_time(text: &str) -> Option<DateTime<Utc>> {
    let time = text.split_once('#').map_or(text, |(time, _)| time);
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    Some(time.with_timezone(&Utc))
}

/// Returns the key from which a query of a legacy shard continues.
fn start_key(shard: &Shard, partition: &str, after: &ConflictCursor) -> Row {
    let index = [
        ("status_key", shard.key.clone()),
        ("detected_at", after.detected_at.clone()),
    ];
    let index = index.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
    row_key(partition, &after.sk)
        .into_iter()
        .chain(index)
        .collect()
}
