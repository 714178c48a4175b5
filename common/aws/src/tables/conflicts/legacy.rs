//! Conflicts as earlier builds stored them: `tenant` / conflict id. None is added any more; those
//! that are there are found by a query for each resource, as they were then, until the device has a
//! conflict of the newer kind about it, which names them.

use aws_sdk_dynamodb::types::AttributeValue;
use tidemark_core::{
    conflict::{ConflictSlot, ConflictStatus, ConflictSummary},
    ids,
    push::intake::Sender,
    resource::ResourceKey,
};

use super::{Conflicts, OutcomeRow, edit_id, keys, list::IndexOrder, row::StoredRow};
use crate::{
    failure::Failure,
    tables::{Row, from_row, query_all},
};

/// As much of a row as deciding needs; the rest may be large.
const PROJECTION: &str = "pk, sk, id, #status, server_version, edits, outcome, #action, code";

#[derive(Debug, serde::Deserialize)]
struct LegacySummaryRow {
    id: String,
    status: String,
    server_version: u64,
    edits: Vec<String>,
    outcome: Option<OutcomeRow>,
    action: tidemark_core::protocol::Action,
    code: tidemark_core::protocol::push::ItemCode,
}

impl Conflicts {
    /// Whether the tenant has conflicts of earlier builds.
    pub(super) async fn has_legacy(&self, tenant: &str) -> Result<bool, Failure> {
        let shard = |status| keys::legacy_status_key(tenant, status);
        let (open, resolved) = tokio::try_join!(
            self.indexed(
                tenant,
                shard(ConflictStatus::Open),
                IndexOrder::Oldest,
                None,
                1
            ),
            self.indexed(
                tenant,
                shard(ConflictStatus::Resolved),
                IndexOrder::Oldest,
                None,
                1
            ),
        )?;
        Ok(!open.0.is_empty() || !resolved.0.is_empty())
    }

    /// The conflicts of earlier builds of the sender's device about a resource, open and resolved.
    pub(super) async fn legacy_about(
        &self,
        sender: Sender<'_>,
        resource: &ResourceKey,
    ) -> Result<Vec<ConflictSummary>, Failure> {
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
        let mut standing: Vec<ConflictSummary> =
            rows.map(legacy_standing).collect::<Result<_, _>>()?;
        // The last ones are remembered: the open ones, for what they still take in.
        standing.sort_by_key(|conflict| conflict.status == ConflictStatus::Open);
        Ok(standing)
    }
}

fn legacy_standing(row: Row) -> Result<ConflictSummary, Failure> {
    let row: LegacySummaryRow = from_row("conflict", row)?;
    standing_of(row, ConflictSlot::Legacy)
}

fn standing_of(row: LegacySummaryRow, slot: ConflictSlot) -> Result<ConflictSummary, Failure> {
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
        opened_by_create: row.action == tidemark_core::protocol::Action::Create,
        code: row.code,
    })
}

impl StoredRow {
    /// As much of the conflict as deciding needs.
    pub(super) fn standing(self) -> Result<ConflictSummary, Failure> {
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
        standing_of(
            LegacySummaryRow {
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
