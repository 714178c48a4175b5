//! Responses with conflicts (§5).

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::{
        conflict::{Conflict, ConflictEdit, ConflictOutcome, ConflictStatus},
        edit::Action,
        json::Json,
        limits::{RESPONSE_BYTES_MAX, escaped_bytes},
        resolution::Resolution,
        result::ItemCode,
    },
    wire::{serialize_timestamp, text},
};

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
    /// Returns the conflict with all its edits. Payloads that do not fit into the response are
    /// omitted.
    pub fn whole(conflict: Conflict) -> Self {
        let joined = conflict.edits.iter().skip(1).map(EditEntry::new).collect();
        let mut entry = Self {
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
mod tests {
    use super::*;
    use crate::model::{
        channel::Channel,
        resource::{EditId, ResourceKey},
    };
    use serde_json::value::RawValue;

    fn conflict(payload_bytes: usize, edits: usize) -> Conflict {
        // Each letter is escaped once in the payload, and twice more in the Lambda response.
        let text = format!("{{\"t\":\"{}\"}}", "\\\"".repeat(payload_bytes / 2));

        let payload = RawValue::from_string(text).expect("JSON");
        let edit = |number| ConflictEdit {
            id: EditId(number),
            action: Action::Update,
            payload: payload.clone(),
            client_version: number,
            base_version: None,
        };

        Conflict {
            id: "conf-1".into(),
            slot: crate::model::conflict::ConflictSlot::default(),
            resource: ResourceKey {
                channel: Channel::Tenant,
                resource_type: "meter".into(),
                id: "m".into(),
            },
            user: "\u{1}".repeat(256),
            device_id: "\u{1}".repeat(256),
            detected_at: DateTime::UNIX_EPOCH,
            code: ItemCode::VersionMismatch,
            server_payload: Some(payload.clone()),
            server_version: 7,
            server_deleted: false,
            edits: (0..edits as u64).map(edit).collect(),
            outcome: Some(ConflictOutcome {
                resolution: Resolution::AcceptClient,
                resolved_by: "\u{1}".repeat(256),
                resolved_at: DateTime::UNIX_EPOCH,
                note: Some("\u{1}".repeat(2000)),
                server_version: 8,
                merged_digest: None,
            }),
        }
    }

    fn response_bytes_of(response: &impl Serialize) -> usize {
        escaped_bytes(&serde_json::to_string(response).expect("a response"))
    }

    #[test]
    fn list_of_largest_conflicts_fits() {
        let mut conflicts: Vec<_> = (0..200)
            .map(|_| ConflictEntry::new(conflict(90_000, 1)))
            .collect();
        fit(&mut conflicts);

        assert!(conflicts[0].server_payload.is_some() || conflicts[0].server_payload_omitted);
        assert!(conflicts[199].server_payload.is_none() && conflicts[199].server_payload_omitted);

        let list = ConflictList {
            conflicts,
            next_cursor: None,
        };
        assert!(
            response_bytes_of(&list) <= RESPONSE_BYTES_MAX,
            "{}",
            response_bytes_of(&list)
        );
    }

    #[test]
    fn omitted_payloads_of_large_conflict_are_flagged() {
        let entry = ConflictEntry::whole(conflict(350_000, 100));
        assert!(response_bytes_of(&entry) <= RESPONSE_BYTES_MAX);
        assert!(entry.server_payload.is_some() && entry.client_payload.is_some());
        let joined = entry.joined.expect("edits");
        assert_eq!((joined.len(), entry.edit_count), (99, 100));
        assert!(
            joined
                .iter()
                .all(|edit| edit.client_payload.is_some() != edit.client_payload_omitted)
        );
        assert!(joined[98].client_payload_omitted);
    }

    #[test]
    fn payloads_that_fit_are_kept() {
        let entry = ConflictEntry::whole(conflict(10, 2));
        assert!(!entry.server_payload_omitted && !entry.client_payload_omitted);
        assert!(
            entry
                .joined
                .expect("one")
                .iter()
                .all(|edit| edit.client_payload.is_some())
        );
    }
}
