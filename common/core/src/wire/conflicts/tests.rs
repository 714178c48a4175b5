use super::*;
use crate::model::{
    channel::Channel,
    limits::WAS_BYTES_MAX,
    resource::{EditId, ResourceKey},
};
use serde_json::value::RawValue;

fn conflict(payload_bytes: usize, edits: usize) -> Conflict {
    // Each letter is escaped once in the payload, and twice more in the Lambda response.
    let object = |bytes: usize| {
        let text = format!("{{\"t\":\"{}\"}}", "\\\"".repeat(bytes / 2));
        RawValue::from_string(text).expect("JSON")
    };
    let (payload, was) = (object(payload_bytes), object(WAS_BYTES_MAX - 8));

    let edit = |number| ConflictEdit {
        id: EditId(number),
        action: Action::Update,
        payload: payload.clone(),
        client_version: number,
        base_version: None,
        was: Some(was.clone()),
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
            picked_digest: None,
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
    let large = conflict(350_000, 100);
    let base = ConflictBase {
        payload: large.edits[0].payload.clone(),
        source: BaseSource::Log,
    };
    let entry = ConflictEntry::whole(large, Some(base));
    assert!(response_bytes_of(&entry) <= RESPONSE_BYTES_MAX);
    assert!(entry.server_payload.is_some() && entry.client_payload.is_some());
    assert!(entry.base_payload.is_some() && !entry.base_payload_omitted);
    let joined = entry.joined.expect("edits");
    assert_eq!((joined.len(), entry.edit_count), (99, 100));
    assert!(
        joined
            .iter()
            .all(|edit| edit.client_payload.is_some() != edit.client_payload_omitted)
    );
    assert!(joined[98].client_payload_omitted);
    assert!(
        joined.iter().all(|edit| edit.was.is_some()),
        "these always fit"
    );
}

#[test]
fn payloads_that_fit_are_kept() {
    let entry = ConflictEntry::whole(conflict(10, 2), None);
    assert!(!entry.server_payload_omitted && !entry.client_payload_omitted);
    assert!(
        entry
            .joined
            .expect("one")
            .iter()
            .all(|edit| edit.client_payload.is_some())
    );
}
