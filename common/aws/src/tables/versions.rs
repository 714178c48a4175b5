//! Reads versions and change times of `resources` without payloads, page by page, to compare them
//! with the change log. A page costs the read units of its full rows, at most 1 MB: a projection
//! reduces the transferred bytes, not the read units.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tidemark_core::model::{
    channel::Scope,
    key,
    repair::{Extent, Period, RepairCursor, ResourceVersion},
};

use super::{Resources, Row, Table, key as row_key, moment, resources::identify, text};
use crate::error::Error;

/// A page of rows that changed in the requested period.
#[derive(Debug, Default)]
pub struct ResourceVersions {
    /// The versions of the matching rows, each with its channel.
    pub rows: Vec<(Scope, ResourceVersion)>,
    /// Number of rows that were read, including rows that changed outside the period.
    pub looked_at: usize,
    /// Cursor of the next page; `None` at the end.
    pub next: Option<RepairCursor>,
}

#[derive(Debug, Deserialize)]
struct VersionRow {
    pk: String,
    sk: String,
    server_version: u64,
    changed_at: i64,
}

/// A page of rows as DynamoDB returns it.
struct RawPage {
    items: Vec<Row>,
    looked_at: i32,
    /// The key of the last row that was read, if there are more.
    last: Option<Row>,
}

const PROJECTION: &str = "pk, sk, server_version, changed_at";
const CHANGED: &str = "changed_at BETWEEN :from AND :until";

impl Resources {
    /// Reads the next page of at most `limit` rows after the cursor `after`, with strongly
    /// consistent reads. Logs, counts and skips a row that cannot be decoded: the change that
    /// repairs it is sequenced like any other.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn resource_versions(
        &self,
        extent: &Extent,
        period: Period,
        after: Option<&RepairCursor>,
        limit: usize,
    ) -> Result<ResourceVersions, Error> {
        let start = after.map(|[partition, sort_key]| row_key(partition, sort_key));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let page = match extent {
            Extent::Channel(scope) => self.query_versions(scope, period, start, limit).await?,
            Extent::All(tenant) => {
                self.scan_versions(tenant.as_deref(), period, start, limit)
                    .await?
            }
        };

        let next = page
            .last
            .and_then(|row| Some([text(&row, "pk")?.to_owned(), text(&row, "sk")?.to_owned()]));
        Ok(ResourceVersions {
            rows: page
                .items
                .into_iter()
                .filter_map(|row| version(&self.0, row))
                .collect(),
            looked_at: usize::try_from(page.looked_at).unwrap_or_default(),
            next,
        })
    }

    /// Reads a page of the rows of one channel.
    async fn query_versions(
        &self,
        scope: &Scope,
        period: Period,
        start: Option<Row>,
        limit: i32,
    ) -> Result<RawPage, Error> {
        let response = self
            .0
            .query(scope.partition())
            .key_condition_expression("pk = :pk")
            .filter_expression(CHANGED)
            .projection_expression(PROJECTION)
            .expression_attribute_values(":from", time(period.from))
            .expression_attribute_values(":until", time(period.until))
            .set_exclusive_start_key(start)
            .limit(limit)
            .send()
            .await
            .map_err(|error| Error::failed_call("query on resources", error))?;

        Ok(RawPage {
            items: response.items.unwrap_or_default(),
            looked_at: response.scanned_count,
            last: response.last_evaluated_key,
        })
    }

    /// Reads a page of the rows of one tenant, or of all tenants.
    async fn scan_versions(
        &self,
        tenant: Option<&str>,
        period: Period,
        start: Option<Row>,
        limit: i32,
    ) -> Result<RawPage, Error> {
        let scan = self
            .0
            .client
            .scan()
            .table_name(&self.0.name)
            .consistent_read(true)
            .projection_expression(PROJECTION)
            .expression_attribute_values(":from", time(period.from))
            .expression_attribute_values(":until", time(period.until));
        let scan = match tenant {
            None => scan.filter_expression(CHANGED),
            Some(tenant) => scan
                .filter_expression(format!("begins_with(pk, :tenant) AND {CHANGED}"))
                .expression_attribute_values(":tenant", AttributeValue::S(key::join([tenant, ""]))),
        };

        let response = scan
            .set_exclusive_start_key(start)
            .limit(limit)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| Error::failed_call("scan on resources", error))?;

        Ok(RawPage {
            items: response.items.unwrap_or_default(),
            looked_at: response.scanned_count,
            last: response.last_evaluated_key,
        })
    }
}

fn time(at: DateTime<Utc>) -> AttributeValue {
    AttributeValue::N(at.timestamp_millis().to_string())
}

fn version(table: &Table, row: Row) -> Option<(Scope, ResourceVersion)> {
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

    let read: Result<_, Error> = read();
    if let Err(failure) = &read {
        tracing::error!(%failure, "stored resource cannot be decoded");
        table.count_corrupt();
    }
    read.ok()
}
