//! Reading conflicts and the audit log (§5, §7).

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Action, push::ItemCode, serialize_timestamp};
use crate::{
    audit::AuditEntry,
    conflict::{Conflict, ConflictEdit, ConflictOutcome, ConflictStatus, Resolution},
    json::Json,
    limits::{RESPONSE_BYTES_MAX, escaped_bytes},
};

/// Bytes kept for what stands around the entries of a list.
const ENVELOPE_BYTES: usize = 20 * 1000;

/// A conflict, as an admin sees it and the user whose edits stand in it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictEntry {
    /// Its id.
    pub id: String,
    /// Whether it waits for its decision.
    pub status: ConflictStatus,
    /// What it is about.
    pub resource_type: String,
    /// What it is about.
    pub resource_id: String,
    /// Where that lives.
    pub channel: String,
    /// When its first edit was refused.
    #[serde(serialize_with = "serialize_timestamp")]
    pub detected_at: DateTime<Utc>,
    /// Whose edits.
    pub user: String,
    /// Which device's.
    pub device_id: String,
    /// Why the first was refused.
    pub code: ItemCode,
    /// What the server held when an edit was last refused; of a deleted resource the last payload;
    /// `null` where it held nothing.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// The payload was left out: it is too large for this answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
    /// The resource's version then; 0 where there was none.
    pub server_version: u64,
    /// The resource was deleted then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// What the first edit would do.
    pub action: Action,
    /// Its content or patch.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub client_payload: Option<Json>,
    /// The payload was left out: it is too large for this answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub client_payload_omitted: bool,
    /// As the first edit was sent.
    pub client_version: u64,
    /// As the first edit was sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub base_version: Option<u64>,
    /// How many edits stand in it.
    pub edit_count: usize,
    /// The edits that joined it, in turn. Lists leave them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<Vec<JoinedEntry>>,
    /// How it was decided, once it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeEntry>,
}

/// An edit that joined a conflict.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedEntry {
    /// What it would do.
    pub action: Action,
    /// Its content or patch.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub client_payload: Option<Json>,
    /// The payload was left out: it is too large for this answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub client_payload_omitted: bool,
    /// As sent.
    pub client_version: u64,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub base_version: Option<u64>,
}

/// How a conflict was decided.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeEntry {
    /// The decision.
    pub resolution: Resolution,
    /// A user, an operator, or `policy:<name>`.
    pub resolved_by: String,
    /// When.
    #[serde(serialize_with = "serialize_timestamp")]
    pub resolved_at: DateTime<Utc>,
    /// What the decider had to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The version of the resource that the decision made; 0 where there is no resource.
    pub server_version: u64,
    /// Whether the device whose edits stand in the conflict has acknowledged that version, or a
    /// newer one (§4.8). Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
}

/// A page of conflicts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictList {
    /// In the order they were detected.
    pub conflicts: Vec<ConflictEntry>,
    /// Where the next page goes on; `null` behind the last one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

/// A page of the audit log.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditList {
    /// In the order asked for.
    pub entries: Vec<AuditEntry>,
    /// Where the next page goes on; `null` behind the last one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

impl ConflictEntry {
    /// A conflict with everything that stands in it, as far as an answer holds it.
    pub fn whole(conflict: Conflict) -> Self {
        let joined = conflict
            .edits
            .iter()
            .skip(1)
            .map(JoinedEntry::new)
            .collect();
        let mut entry = Self {
            joined: Some(joined),
            ..Self::new(conflict)
        };
        fit(std::slice::from_mut(&mut entry));
        entry
    }

    /// A conflict without the edits that joined it.
    pub fn new(conflict: Conflict) -> Self {
        let status = if conflict.outcome.is_some() {
            ConflictStatus::Resolved
        } else {
            ConflictStatus::Open
        };
        let first = conflict.edits.first().map(JoinedEntry::new);
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

    /// Its payloads, each with the flag that says it was left out.
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

impl JoinedEntry {
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

/// Leaves out payloads where the answer would outgrow the bound of §3.12, and says so. What stands
/// around them always fits.
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

/// Bytes of an entry, had it no payloads, as Lambda hands them on.
fn bytes_without_payloads(entry: &mut ConflictEntry) -> usize {
    /// A flag may take the place of a payload.
    const FLAG_BYTES: usize = 40;
    let taken: Vec<Option<Json>> = entry
        .payloads()
        .map(|(payload, _)| payload.take())
        .collect();
    let text = serde_json::to_string(entry).unwrap_or_default(); // an entry always serialises
    let bytes = escaped_bytes(&text) + taken.len() * FLAG_BYTES;
    for ((payload, _), text) in entry.payloads().zip(taken) {
        *payload = text;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::Channel,
        resource::{EditId, ResourceKey},
    };
    use serde_json::value::RawValue;

    fn conflict(payload_bytes: usize, edits: usize) -> Conflict {
        // Each letter is escaped once in the payload, and twice more by Lambda.
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
            slot: crate::conflict::ConflictSlot::default(),
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
        escaped_bytes(&serde_json::to_string(response).expect("an answer"))
    }

    #[test]
    fn a_list_of_the_largest_conflicts_keeps_every_conflict_and_fits() {
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
    fn a_conflict_of_a_hundred_large_edits_tells_which_payloads_it_leaves_out() {
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
    fn what_fits_is_left_as_it_is() {
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
