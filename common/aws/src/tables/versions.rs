//! Reading `resources` to compare it with the log: versions and times, without payloads, a page at
//! a time. A page costs what its rows weigh, at most 1 MB of them: a projection saves the way, not
//! the read units.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use serde::Deserialize;
use tidemark_core::{
    channel::Scope,
    key,
    protocol::repair::{Extent, RepairCursor},
    sequence::repair::{Period, ResourceVersion},
};

use super::{Resources, Row, key as row_key, moment, resources::identify, text};
use crate::failure::Failure;

/// Rows that changed in the period that was asked for.
#[derive(Debug, Default)]
pub struct ResourceVersions {
    /// Each with its channel.
    pub rows: Vec<(Scope, ResourceVersion)>,
    /// How many rows were read, whenever they changed.
    pub looked_at: usize,
    /// Where to read on; `None` at the end.
    pub next: Option<RepairCursor>,
}

#[derive(Debug, Deserialize)]
struct VersionRow {
    pk: String,
    sk: String,
    server_version: u64,
    changed_at: i64,
}

const PROJECTION: &str = "pk, sk, server_version, changed_at";
const CHANGED: &str = "changed_at BETWEEN :from AND :until";

impl Resources {
    /// Reads on behind `after`, at most `limit` rows, strongly consistently. A row that does not
    /// read is logged and left out: the change that mends it is sequenced like any other.
    ///
    /// # Errors
    /// An outage.
    pub async fn resource_versions(
        &self,
        extent: &Extent,
        period: Period,
        after: Option<&RepairCursor>,
        limit: usize,
    ) -> Result<ResourceVersions, Failure> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let after = after.map(|[partition, sort_key]| row_key(partition, sort_key));
        let time = |at: chrono::DateTime<chrono::Utc>| {
            AttributeValue::N(at.timestamp_millis().to_string())
        };
        let (from, until) = (time(period.from), time(period.until));
        let (items, looked_at, last) = match extent {
            Extent::Channel(scope) => {
                let query = self
                    .0
                    .query(scope.partition())
                    .key_condition_expression("pk = :pk");
                let query = query
                    .filter_expression(CHANGED)
                    .projection_expression(PROJECTION);
                let query = query
                    .expression_attribute_values(":from", from)
                    .expression_attribute_values(":until", until);
                let response = query
                    .set_exclusive_start_key(after)
                    .limit(limit)
                    .send()
                    .await;
                let response =
                    response.map_err(|error| Failure::outage("query on resources", error))?;
                (
                    response.items,
                    response.scanned_count,
                    response.last_evaluated_key,
                )
            }
            Extent::All(tenant) => {
                let scan = self
                    .0
                    .client
                    .scan()
                    .table_name(&self.0.name)
                    .consistent_read(true)
                    .projection_expression(PROJECTION);
                let scan = scan
                    .expression_attribute_values(":from", from)
                    .expression_attribute_values(":until", until);
                let scan = match tenant {
                    None => scan.filter_expression(CHANGED),
                    Some(tenant) => scan
                        .filter_expression(format!("begins_with(pk, :tenant) AND {CHANGED}"))
                        .expression_attribute_values(
                            ":tenant",
                            AttributeValue::S(key::join([tenant, ""])),
                        ),
                };
                let scan = scan.set_exclusive_start_key(after).limit(limit);
                let response = scan
                    .return_consumed_capacity(ReturnConsumedCapacity::Total)
                    .send()
                    .await;
                let response =
                    response.map_err(|error| Failure::outage("scan on resources", error))?;
                (
                    response.items,
                    response.scanned_count,
                    response.last_evaluated_key,
                )
            }
        };
        let next =
            last.and_then(|row| Some([text(&row, "pk")?.to_owned(), text(&row, "sk")?.to_owned()]));
        let rows = items
            .unwrap_or_default()
            .into_iter()
            .filter_map(version)
            .collect();
        Ok(ResourceVersions {
            rows,
            looked_at: usize::try_from(looked_at).unwrap_or_default(),
            next,
        })
    }
}

fn version(row: Row) -> Option<(Scope, ResourceVersion)> {
    let read = || {
        let row: VersionRow = super::from_row("resource", row)?;
        let (scope, key) = identify(&row.pk, &row.sk)?;
        Ok((
            scope,
            ResourceVersion {
                key,
                server_version: row.server_version,
                changed_at: moment(row.changed_at)?,
            },
        ))
    };
    let read: Result<_, Failure> = read();
    if let Err(failure) = &read {
        tracing::error!(%failure, "a resource does not read");
    }
    read.ok()
}
