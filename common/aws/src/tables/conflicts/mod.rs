//! `conflicts`: tenant / conflict id. What devices meant, kept until it is decided.
//!
//! A conflict's row holds its edits while their payloads are small; a large payload stands in a row of its own
//! (`part#<conflict>#<edit>`, `part#<conflict>#server-<version>`), which is never changed and is written before the row that names
//! it. Edits join on the condition that the conflict is open and holds as many edits as were read, so that none is lost.

mod by_device;
mod decided;
mod read;
mod record;
mod settle;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    conflict::{ConflictEdit, ConflictStatus, Outcome, Resolution, Standing},
    ids,
    json::{self, Json},
    protocol::{Action, push::ItemCode},
    push::intake::Sender,
    resource::{EditId, ResourceKey},
};

pub use by_device::DeviceConflict;
pub(crate) use decided::decided;
pub use read::Place;

use super::{Row, Table, from_row, key as row_key, moment, query_all};
use crate::failure::Failure;

/// Bytes of the first edit's and of the server's payload that a conflict's own row carries at most.
const PAYLOAD_BYTES_MAX: usize = 100 * 1024;
/// Bytes of the payload of an edit that joined which a conflict's own row carries at most: with a hundred of them it stays small.
const JOINED_BYTES_MAX: usize = 1024;

/// The table of conflicts.
#[derive(Debug, Clone)]
pub struct Conflicts(pub(super) Table);

/// What became of a conflict that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored.
    Done,
    /// It is not what was read any more: read it again and decide again.
    LostRace,
}

/// The row of a conflict that is opened. Of what it says, the lifecycle's own fields are those a person reads.
#[derive(Debug, Serialize)]
struct ConflictRow<'a> {
    pk: &'a str,
    sk: &'a str,
    /// Key of the index by status and time.
    status_key: String,
    /// Key of the index by device and time.
    device_key: String,
    id: &'a str,
    status: &'a str,
    detected_at: String,
    resource_type: &'a str,
    resource_id: &'a str,
    channel: String,
    user: &'a str,
    device_id: &'a str,
    code: ItemCode,
    server_payload: Option<&'a str>,
    server_version: u64,
    server_deleted: bool,
    /// The edit that opened it.
    edit: String,
    action: Action,
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
    /// The edits that joined, in turn.
    joined: Vec<EditRow>,
    /// Hashes of all edits.
    edits: Vec<String>,
    edit_count: usize,
    /// How it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeRow>,
}

/// How a conflict was decided.
#[derive(Debug, Serialize, Deserialize)]
struct OutcomeRow {
    resolution: Resolution,
    resolved_by: String,
    resolved_at: i64,
    note: Option<String>,
    server_version: u64,
    merged_digest: Option<String>,
}

/// An edit that joined; a payload that is missing stands in a row of its own.
#[derive(Debug, Serialize, Deserialize)]
struct EditRow {
    edit: String,
    action: Action,
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartRow {
    pk: String,
    sk: String,
    payload: String,
}

#[derive(Debug, Deserialize)]
struct StandingRow {
    id: String,
    status: String,
    server_version: u64,
    edits: Vec<String>,
    outcome: Option<OutcomeRow>,
    action: Action,
    code: ItemCode,
}

/// What the server held when a conflict was last added to.
#[derive(Debug, Deserialize)]
struct ServerRow {
    id: String,
    server_payload: Option<String>,
    server_version: u64,
    server_deleted: bool,
}

impl Conflicts {
    /// For each of these resources the conflicts of the sender's device that a push has to know, without payloads: its open conflicts,
    /// and each conflict that holds one of the named edits. Resources without one are left out.
    ///
    /// # Errors
    /// An outage, or a row that does not read.
    pub async fn of_device(
        &self,
        sender: Sender<'_>,
        wanted: &[(&ResourceKey, Vec<EditId>)],
    ) -> Result<HashMap<ResourceKey, Vec<Standing>>, Failure> {
        let lookups = wanted.iter().map(async |(resource, _)| {
            let standing = self.about(sender, resource).await?;
            Ok::<_, Failure>(((*resource).clone(), standing))
        });
        let found = futures_util::future::try_join_all(lookups).await?;
        Ok(found.into_iter().filter(|(_, standing)| !standing.is_empty()).collect())
    }

    async fn about(&self, sender: Sender<'_>, resource: &ResourceKey) -> Result<Vec<Standing>, Failure> {
        let tenant = &sender.principal.tenant;
        let prefix = ids::conflict_prefix(tenant, resource, sender.author);
        let query = self
            .0
            .query(tenant.clone())
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .projection_expression("id, #status, server_version, edits, outcome, #action, code")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#action", "action")
            .expression_attribute_values(":prefix", AttributeValue::S(prefix));
        let rows = query_all("query on conflicts", query).await?.into_iter();
        // A corrupt row is logged, and blocks nothing but its own conflict.
        let read = |row| {
            let standing = from_row::<StandingRow>("conflict", row).and_then(StandingRow::read);
            standing.inspect_err(|failure| tracing::error!(%failure, "a conflict cannot be decoded")).ok()
        };
        Ok(rows.filter_map(read).collect())
    }

    /// What the server held, and its version, when these conflicts were last added to; of deleted resources nothing.
    ///
    /// # Errors
    /// An outage.
    pub async fn server_payloads(&self, tenant: &str, ids: Vec<String>) -> Result<HashMap<String, (u64, Json)>, Failure> {
        let rows = self.0.batch_get(ids.into_iter().map(|id| row_key(tenant, id)).collect()).await?;
        let rows: Vec<ServerRow> = rows.into_iter().map(|row| from_row("conflict", row)).collect::<Result<_, _>>()?;
        let apart = rows.iter().filter(|row| row.server_payload.is_none());
        let apart = apart.map(|row| row_key(tenant, server_part(&row.id, row.server_version))).collect();
        let mut parts = self.parts(apart).await?;
        let mut payloads = HashMap::new();
        for row in rows.into_iter().filter(|row| !row.server_deleted && row.server_version > 0) {
            let text = row.server_payload.or_else(|| parts.remove(&server_part(&row.id, row.server_version)));
            let text = text.ok_or_else(|| Failure::unreadable("conflict", format!("payload of {}", row.id)))?;
            let payload = RawValue::from_string(text).map_err(|error| Failure::undecoded("payload", error))?;
            payloads.insert(row.id, (row.server_version, payload));
        }
        Ok(payloads)
    }

    /// The payloads that stand in rows of their own, by sort key.
    async fn parts(&self, keys: Vec<Row>) -> Result<HashMap<String, String>, Failure> {
        let parts = self.0.batch_get(keys).await?.into_iter().map(|row| from_row::<PartRow>("part of a conflict", row));
        parts.map(|part| part.map(|part| (part.sk, part.payload))).collect()
    }
}

impl EditRow {
    fn new(edit: &ConflictEdit, is_first: bool) -> Self {
        Self {
            edit: hex(edit.id),
            action: edit.action,
            client_payload: is_inline(edit, is_first).then(|| edit.payload.get().to_owned()),
            client_version: edit.client_version,
            base_version: edit.base_version,
        }
    }
}

impl OutcomeRow {
    fn new(outcome: &Outcome) -> Self {
        Self {
            resolution: outcome.resolution,
            resolved_by: outcome.resolved_by.clone(),
            resolved_at: outcome.resolved_at.timestamp_millis(),
            note: outcome.note.clone(),
            server_version: outcome.server_version,
            merged_digest: outcome.merged_digest.map(|digest| json::hex(&digest)),
        }
    }

    fn read(self) -> Result<Outcome, Failure> {
        let unreadable = |what: &str| Failure::unreadable("outcome of a conflict", what);
        let merged_digest = self.merged_digest.map(|text| digest(&text).ok_or_else(|| unreadable("merged_digest")));
        Ok(Outcome {
            resolution: self.resolution,
            resolved_by: self.resolved_by,
            resolved_at: moment(self.resolved_at)?,
            note: self.note,
            server_version: self.server_version,
            merged_digest: merged_digest.transpose()?,
        })
    }
}

impl StandingRow {
    fn read(self) -> Result<Standing, Failure> {
        let edits = self.edits.iter().map(|text| edit_id(text)).collect::<Result<_, _>>()?;
        let is_open = self.status == ConflictStatus::Open.as_str();
        let status = if is_open { ConflictStatus::Open } else { ConflictStatus::Resolved };
        let resolution = self.outcome.map(|outcome| outcome.resolution);
        Ok(Standing {
            id: self.id,
            status,
            resolution,
            server_version: self.server_version,
            edits,
            opened_by_create: self.action == Action::Create,
            code: self.code,
        })
    }
}

/// Reads the text of an [`hex`] back.
fn edit_id(text: &str) -> Result<EditId, Failure> {
    u64::from_str_radix(text, 16).map(EditId).map_err(|error| Failure::unreadable("edit", error))
}

/// Reads 32 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

fn edit_part(id: &str, edit: &str) -> String {
    format!("part#{id}#{edit}")
}

fn server_part(id: &str, server_version: u64) -> String {
    format!("part#{id}#server-{server_version}")
}

fn is_inline(edit: &ConflictEdit, is_first: bool) -> bool {
    edit.payload.get().len() <= if is_first { PAYLOAD_BYTES_MAX } else { JOINED_BYTES_MAX }
}

fn hex(edit: EditId) -> String {
    format!("{:016x}", edit.0)
}
