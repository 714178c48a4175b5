//! Conflicts in the format of earlier builds: `tenant` / conflict id. No new ones are written. They
//! are found by a query per resource until the device has a conflict in the current format about
//! the resource, whose row lists them.

use aws_sdk_dynamodb::types::AttributeValue;
use tidemark_core::{
    model::{
        conflict::{ConflictSlot, ConflictStatus, ConflictSummary, ListOrder},
        ids,
        resource::ResourceKey,
    },
    rules::push::edit::Sender,
};

use super::{
    Conflicts, OutcomeRow, edit_id,
    index::{IndexQuery, Shard},
    row::StoredRow,
};
use crate::{
    error::Error,
    tables::{Row, from_row, query_all},
};

/// Projection of the attributes that a summary needs; the rest of a row may be large.
const PROJECTION: &str = "pk, sk, id, #status, server_version, edits, outcome, #action, code";

#[derive(Debug, serde::Deserialize)]
struct SummaryRow {
    id: String,
    status: String,
    server_version: u64,
    edits: Vec<String>,
    outcome: Option<OutcomeRow>,
    #[serde(with = "tidemark_core::wire::text")]
    action: tidemark_core::model::edit::Action,
    #[serde(with = "tidemark_core::wire::text")]
    code: tidemark_core::model::result::ItemCode,
}

impl Conflicts {
    /// Returns whether the tenant has legacy conflicts.
    pub(super) async fn has_legacy(&self, tenant: &str) -> Result<bool, Error> {
        let query = IndexQuery::first(ListOrder::Oldest, 1);
        let [open, resolved] = [ConflictStatus::Open, ConflictStatus::Resolved]
            .map(|status| Shard::legacy(tenant, status));
        let (open, resolved) =
            tokio::try_join!(self.indexed(&open, &query), self.indexed(&resolved, &query))?;

        Ok(!open.entries.is_empty() || !resolved.entries.is_empty())
    }

    /// Returns the legacy conflicts of the sender's device about a resource, open and resolved.
    pub(super) async fn legacy_about(
        &self,
        sender: Sender<'_>,
        resource: &ResourceKey,
    ) -> Result<Vec<ConflictSummary>, Error> {
        let tenant = &sender.principal.tenant;
        let prefix = ids::legacy_conflict_prefix(tenant, resource, sender.author);
        let query = self
            .0
            .query(tenant.clone())
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .projection_expression(PROJECTION)
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#action", "action")
            .expression_attribute_values(":prefix", AttributeValue::S(prefix));

        let rows = query_all("query on conflicts", query).await?.into_iter();
        let mut summaries: Vec<ConflictSummary> =
            rows.map(legacy_summary).collect::<Result<_, _>>()?;

        // Open conflicts come last: only the last conflicts are kept, and edits may still join open
        // ones.
        summaries.sort_by_key(|conflict| conflict.status == ConflictStatus::Open);
        Ok(summaries)
    }
}

fn legacy_summary(row: Row) -> Result<ConflictSummary, Error> {
    let row: SummaryRow = from_row("conflict", row)?;
    summary_of(row, ConflictSlot::Legacy)
}

fn summary_of(row: SummaryRow, slot: ConflictSlot) -> Result<ConflictSummary, Error> {
    let edits = row
        .edits
        .iter()
        .map(|text| edit_id(text))
        .collect::<Result<_, _>>()?;

    let is_open = row.status == ConflictStatus::Open.as_str();
    Ok(ConflictSummary {
        id: row.id,
        slot,
        status: if is_open {
            ConflictStatus::Open
        } else {
            ConflictStatus::Resolved
        },
        resolution: row.outcome.map(|outcome| outcome.resolution),
        server_version: row.server_version,
        edits,
        opened_by_create: row.action == tidemark_core::model::edit::Action::Create,
        code: row.code,
    })
}

impl StoredRow {
    /// Returns the summary of the conflict that a push needs.
    pub(super) fn summary(self) -> Result<ConflictSummary, Error> {
        let slot = self.slot()?;

        let Self {
            id,
            status,
            server_version,
            edits,
            outcome,
            action,
            code,
            ..
        } = self;
        summary_of(
            SummaryRow {
                id,
                status,
                server_version,
                edits,
                outcome,
                action,
                code,
            },
            slot,
        )
    }
}
