//! The base of a conflict (§5.1): the content that the device had when it made the edits, which a
//! person compares with the server's content and with the edits. The device sends the parts that
//! its edits change as `was`. Otherwise the base is the version on which the first edit was made,
//! and the change log is read backwards until it contains that version or an older one.

use std::collections::HashSet;

use crate::{
    model::{
        conflict::{Conflict, ConflictEdit},
        edit::Action,
        json::{self, Fields, Json},
        position::Position,
        resource::ResourceKey,
    },
    rules::sequence::segment::Segment,
};

/// The result of scanning one segment for a version in a backward read.
#[derive(Debug, Clone)]
pub enum BaseScan {
    /// The segment contains the version with this payload.
    Found(Json),
    /// The log does not contain the version, or the version is a delete.
    Absent,
    /// The segment does not decide it: scan the previous segment, stored under this position.
    Continue(Position),
}

/// Returns the values that the fields of the edits had in the device's base, from the `was` of the
/// updates. If several edits change a field, the first of them determines its value, because the
/// device made the later ones on its own change. Returns `None` if an update has no `was`, if there
/// is no update, or if an edit is a create: the base of an update that follows it is not a version of
/// the server.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use phone::{conflict, raw};
/// use tidemark_core::rules::base::from_edits;
///
/// let mut first = conflict(r#"{"reading":42,"note":"in cellar"}"#).edits.remove(0);
/// first.was = Some(raw(r#"{"reading":1.0}"#));
/// let mut second = conflict(r#"{"note":null,"unit":"kWh"}"#).edits.remove(0);
/// second.was = Some(raw(r#"{"note":"in cellar","unit":"m3"}"#));
///
/// // The base had no field `note`: the first edit added it.
/// let base = from_edits(&[first.clone(), second.clone()]).unwrap();
/// assert_eq!(base.get(), r#"{"reading":1.0,"unit":"m3"}"#);
///
/// second.was = None;
/// assert!(from_edits(&[first, second]).is_none());
/// ```
pub fn from_edits(edits: &[ConflictEdit]) -> Option<Json> {
    if edits.iter().any(|edit| edit.action == Action::Create) {
        return None;
    }

    let mut changed: HashSet<String> = HashSet::new();
    let mut base: Option<Fields> = None;

    for edit in edits.iter().filter(|edit| edit.action == Action::Update) {
        let was = json::fields(edit.was.as_deref()?)?;
        base.get_or_insert_default()
            .extend(was.into_iter().filter(|(name, _)| !changed.contains(name)));
        changed.extend(json::fields(&edit.payload)?.into_keys());
    }
    base.as_ref().map(json::object)
}

/// Returns the version on which the first edit of a conflict was made (§3.3). Returns `None` if the
/// edit is a create, or if the resource has no such version.
pub fn version(conflict: &Conflict) -> Option<u64> {
    let first = conflict
        .edits
        .first()
        .filter(|edit| edit.action != Action::Create)?;
    let assumed = first.client_version.min(conflict.server_version);

    Some(first.base_version.unwrap_or(assumed))
        .filter(|version| (1..=conflict.server_version).contains(version))
}

/// Scans a segment for a version of a resource. The caller passes segments in backward order
/// without gaps, beginning with the last one.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use log::{at, entry, meter};
/// use tidemark_core::rules::{base::{BaseScan, scan}, sequence::segment::cut};
///
/// let entries = vec![entry("6", "m-1", 2), entry("7", "m-1", 3), entry("8", "m-2", 1)];
/// let segment = cut(at("5"), entries).remove(0);
/// let scan = |version| scan(&segment, &meter("m-1"), version);
/// assert!(matches!(scan(2), BaseScan::Found(payload) if payload.get() == r#"{"value":2}"#));
/// // The version may be in an earlier segment, unless the log contains an older one after it.
/// assert!(matches!(scan(1), BaseScan::Continue(position) if position == at("5")));
/// assert!(matches!(scan(4), BaseScan::Absent));
/// ```
pub fn scan(segment: &Segment, resource: &ResourceKey, version: u64) -> BaseScan {
    // Versions of a resource never decrease in the log, so anything earlier is older still.
    let reached = segment.entries.iter().rev().find(|entry| {
        entry.server_version <= version
            && entry.resource_type == resource.resource_type
            && entry.id == resource.id
    });

    match reached {
        Some(entry) => entry
            .payload
            .clone()
            .filter(|_| entry.server_version == version)
            .map_or(BaseScan::Absent, BaseScan::Found),
        None if segment.follows == Position::START => BaseScan::Absent,
        None => BaseScan::Continue(segment.follows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        channel::Channel, conflict::ConflictSlot, resource::EditId, result::ItemCode,
    };
    use chrono::DateTime;
    use serde_json::value::RawValue;

    fn raw(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).expect("test JSON")
    }

    fn edit(action: Action, payload: &str, was: Option<&str>) -> ConflictEdit {
        ConflictEdit {
            id: EditId(1),
            action,
            payload: raw(payload),
            client_version: 1,
            base_version: None,
            was: was.map(raw),
        }
    }

    fn update(payload: &str, was: &str) -> ConflictEdit {
        edit(Action::Update, payload, Some(was))
    }

    fn base(edits: &[ConflictEdit]) -> Option<String> {
        from_edits(edits).map(|base| base.get().to_owned())
    }

    #[test]
    fn first_edit_of_field_determines_base() {
        let edits = [
            update(r#"{"a":2,"b":2}"#, r#"{"a":1.0}"#),
            update(r#"{"b":3,"c":3}"#, r#"{"b":2,"c":9007199254740993}"#),
            update(r#"{"a":4,"c":4}"#, r#"{"a":2,"c":3}"#),
        ];
        assert_eq!(
            base(&edits).as_deref(),
            Some(r#"{"a":1.0,"c":9007199254740993}"#)
        );
    }

    #[test]
    fn every_update_needs_its_values() {
        let known = update(r#"{"a":2}"#, r#"{"a":1}"#);
        let unknown = edit(Action::Update, r#"{"b":2}"#, None);
        let delete = edit(Action::Delete, "{}", None);
        let create = edit(Action::Create, r#"{"a":1}"#, None);

        assert_eq!(base(&[known.clone(), unknown.clone()]), None);
        assert_eq!(base(&[unknown, known.clone()]), None);
        assert_eq!(base(std::slice::from_ref(&delete)), None);
        for edits in [[&create, &known], [&known, &create]] {
            let edits = edits.map(Clone::clone);
            assert_eq!(base(&edits), None, "the device made the base by a create");
        }
        assert_eq!(
            base(&[known, delete]).as_deref(),
            Some(r#"{"a":1}"#),
            "a delete has no patch"
        );
    }

    /// Returns a conflict with a first edit that has these versions, at version 5 of the server.
    fn conflict(action: Action, client_version: u64, base_version: Option<u64>) -> Conflict {
        Conflict {
            id: "conf-1".into(),
            slot: ConflictSlot::default(),
            resource: ResourceKey {
                channel: Channel::Tenant,
                resource_type: "meter".into(),
                id: "m".into(),
            },
            user: "ana".into(),
            device_id: "phone".into(),
            detected_at: DateTime::UNIX_EPOCH,
            code: ItemCode::VersionMismatch,
            server_payload: None,
            server_version: 5,
            server_deleted: false,
            edits: vec![ConflictEdit {
                client_version,
                base_version,
                ..edit(action, "{}", None)
            }],
            outcome: None,
        }
    }

    #[test]
    fn base_version_is_that_of_first_edit() {
        for (action, client_version, base_version, expected) in [
            (Action::Update, 9, Some(3), Some(3)),
            (Action::Update, 9, Some(5), Some(5)),
            (Action::Update, 4, None, Some(4)),
            (Action::Update, 9, None, Some(5)),
            (Action::Delete, 9, Some(1), Some(1)),
            (Action::Update, 9, Some(0), None),
            (Action::Update, 0, None, None),
            (Action::Update, 9, Some(6), None),
            (Action::Create, 4, Some(3), None),
        ] {
            assert_eq!(
                version(&conflict(action, client_version, base_version)),
                expected,
                "{action} {client_version} {base_version:?}"
            );
        }
    }
}
