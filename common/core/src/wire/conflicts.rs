//! Responses with conflicts (§5).

mod summary;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::{
        conflict::{
            BaseSource, Conflict, ConflictBase, ConflictEdit, ConflictOutcome, ConflictStatus,
        },
        edit::Action,
        json::Json,
        limits::{RESPONSE_BYTES_MAX, escaped_bytes},
        resolution::Resolution,
        result::ItemCode,
    },
    wire::{serialize_timestamp, text},
};

pub use summary::{ConflictCountEntry, ConflictSummaryResponse, OpenConflictsEntry};

/// Bytes reserved for the parts of a list other than its entries.
const ENVELOPE_BYTES: usize = 20 * 1000;

/// A conflict, as shown to admins and to the user whose edits it contains.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictEntry {
    /// The id of the conflict.
    pub id: String,
    /// Whether the conflict is open or resolved.
    #[serde(with = "text")]
    pub status: ConflictStatus,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource.
    pub resource_id: String,
    /// The channel of the resource.
    pub channel: String,
    /// The time at which the first edit was rejected.
    #[serde(serialize_with = "serialize_timestamp")]
    pub detected_at: DateTime<Utc>,
    /// The user who made the edits.
    pub user: String,
    /// The device on which the edits were made.
    pub device_id: String,
    /// The reason why the first edit was rejected.
    #[serde(with = "text")]
    pub code: ItemCode,
    /// The server's payload when an edit was last rejected; for a deleted resource, its last
    /// payload. `null` if there was no resource.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// Whether `server_payload` is omitted because it is too large for this response.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
    /// The version of the resource when an edit was last rejected; 0 if there was no resource.
    pub server_version: u64,
    /// Whether the resource was deleted when an edit was last rejected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// The action of the first edit.
    #[serde(with = "text")]
    pub action: Action,
    /// The payload of the first edit: the content of a create or the patch of an update.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub client_payload: Option<Json>,
    /// Whether `client_payload` is omitted because it is too large for this response.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub client_payload_omitted: bool,
    /// The `client_version` of the first edit, as sent.
    pub client_version: u64,
    /// The `base_version` of the first edit, as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub base_version: Option<u64>,
    /// The content that the device had when it made the edits. With the `base_source` `device`,
    /// only the fields that the edits change. Absent if it is not known. Lists omit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub base_payload: Option<Json>,
    /// Whether `base_payload` is omitted because it is too large for this response.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub base_payload_omitted: bool,
    /// The origin of `base_payload`: the device sent it with the edits, or the server stores the
    /// version.
    #[serde(skip_serializing_if = "Option::is_none", with = "text::option")]
    pub base_source: Option<BaseSource>,
    /// The number of edits in the conflict.
    pub edit_count: usize,
    /// The edits that joined the conflict later, in order. Lists omit them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<Vec<EditEntry>>,
    /// The outcome of the conflict, once it is resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeEntry>,
}

/// An edit of a conflict.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(as = JoinedEntry, description = "An edit that joined a conflict.")
)]
pub struct EditEntry {
    /// The action of the edit.
    #[serde(with = "text")]
    pub action: Action,
    /// The content of a create or the patch of an update.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub client_payload: Option<Json>,
    /// Whether `client_payload` is omitted because it is too large for this response.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub client_payload_omitted: bool,
    /// The `client_version` of the edit, as sent.
    pub client_version: u64,
    /// The `base_version` of the edit, as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub base_version: Option<u64>,
    /// For an update: the values that the fields of the patch had in the device's base, if the
    /// device sent them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub was: Option<Json>,
}

/// The outcome of a resolved conflict.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeEntry {
    /// The way in which the conflict was resolved.
    #[serde(with = "text")]
    pub resolution: Resolution,
    /// The actor who resolved the conflict: a user, an operator, or `policy:<name>`.
    pub resolved_by: String,
    /// The time of the resolution.
    #[serde(serialize_with = "serialize_timestamp")]
    pub resolved_at: DateTime<Utc>,
    /// The note of the actor who resolved the conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The version of the resource that the resolution wrote; 0 if there is no resource.
    pub server_version: u64,
    /// Whether the device that made the edits has acknowledged that version or a newer one (§4.8).
    /// Lists omit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
}

/// A page of conflicts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictList {
    /// The conflicts, in the order of their detection.
    pub conflicts: Vec<ConflictEntry>,
    /// The `cursor` of the next page; `null` on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

impl ConflictEntry {
    /// Returns the conflict with all its edits and its base. Payloads that do not fit into the
    /// response are omitted.
    pub fn whole(conflict: Conflict, base: Option<ConflictBase>) -> Self {
        let joined = conflict.edits.iter().skip(1).map(EditEntry::new).collect();
        let mut entry = Self {
            base_source: base.as_ref().map(|base| base.source),
            base_payload: base.map(|base| base.payload),
            joined: Some(joined),
            ..Self::new(conflict)
        };
        fit(std::slice::from_mut(&mut entry));
        entry
    }

    /// Returns the conflict without the edits that joined it.
    pub fn new(conflict: Conflict) -> Self {
        let status = if conflict.outcome.is_some() {
            ConflictStatus::Resolved
        } else {
            ConflictStatus::Open
        };
        let first = conflict.edits.first().map(EditEntry::new);

        Self {
            id: conflict.id,
            status,
            resource_type: conflict.resource.resource_type,
            resource_id: conflict.resource.id,
            channel: conflict.resource.channel.to_string(),
            detected_at: conflict.detected_at,
            user: conflict.user,
            device_id: conflict.device_id,
            code: conflict.code,
            server_payload: conflict.server_payload,
            server_payload_omitted: false,
            server_version: conflict.server_version,
            server_deleted: conflict.server_deleted,
            action: first.as_ref().map_or(Action::Update, |first| first.action),
            client_version: first.as_ref().map_or(0, |first| first.client_version),
            base_version: first.as_ref().and_then(|first| first.base_version),
            client_payload: first.and_then(|first| first.client_payload),
            client_payload_omitted: false,
            base_payload: None,
            base_payload_omitted: false,
            base_source: None,
            edit_count: conflict.edits.len(),
            joined: None,
            outcome: conflict.outcome.map(OutcomeEntry::new),
        }
    }

    /// Returns the payloads of the entry, each with its flag for omission.
    fn payloads(&mut self) -> impl Iterator<Item = (&mut Option<Json>, &mut bool)> {
        let joined = self.joined.iter_mut().flatten();
        let joined =
            joined.map(|edit| (&mut edit.client_payload, &mut edit.client_payload_omitted));

        let own = [
            (&mut self.server_payload, &mut self.server_payload_omitted),
            (&mut self.client_payload, &mut self.client_payload_omitted),
            (&mut self.base_payload, &mut self.base_payload_omitted),
        ];
        own.into_iter().chain(joined)
    }
}

impl EditEntry {
    fn new(edit: &ConflictEdit) -> Self {
        Self {
            action: edit.action,
            client_payload: Some(edit.payload.clone()),
            client_payload_omitted: false,
            client_version: edit.client_version,
            base_version: edit.base_version,
            was: edit.was.clone(),
        }
    }
}

impl OutcomeEntry {
    fn new(outcome: ConflictOutcome) -> Self {
        let ConflictOutcome {
            resolution,
            resolved_by,
            resolved_at,
            note,
            server_version,
            merged_digest: _,
            picked_digest: _,
        } = outcome;
        Self {
            resolution,
            resolved_by,
            resolved_at,
            note,
            server_version,
            delivered: None,
        }
    }
}

/// Omits payloads that would exceed the response limit of §3.12, and sets their flags. The rest of
/// the entries always fits.
pub fn fit(entries: &mut [ConflictEntry]) {
    let around: usize = entries.iter_mut().map(bytes_without_payloads).sum();
    let mut left = RESPONSE_BYTES_MAX.saturating_sub(ENVELOPE_BYTES + around);
    for (payload, omitted) in entries.iter_mut().flat_map(ConflictEntry::payloads) {
        let Some(text) = payload else { continue };
        match left.checked_sub(escaped_bytes(text.get())) {
            Some(rest) => left = rest,
            None => {
                *payload = None;
                *omitted = true;
            }
        }
    }
}

/// Returns the size of an entry without its payloads, escaped as in a Lambda response.
fn bytes_without_payloads(entry: &mut ConflictEntry) -> usize {
    /// A flag for omission may replace a payload.
    const FLAG_BYTES: usize = 40;

    let taken: Vec<Option<Json>> = entry
        .payloads()
        .map(|(payload, _)| payload.take())
        .collect();

    // Serialization of an entry never fails.
    let text = serde_json::to_string(entry).unwrap_or_default();
    let bytes = escaped_bytes(&text) + taken.len() * FLAG_BYTES;
    for ((payload, _), text) in entry.payloads().zip(taken) {
        *payload = text;
    }
    bytes
}

#[cfg(test)]
mod tests;
