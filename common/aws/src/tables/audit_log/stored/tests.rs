//! The stored text of entries, and entries of earlier builds.

use tidemark_core::model::audit::AuditEntry;

use super::*;
use crate::tables::format::{pack, unpack};

/// A row of a resolution, as earlier builds wrote it: the text and its packed form.
const RESOLUTION: &str = r#"{"id":"entry-1","at":"2027-01-15T08:00:00.123Z","action":"conflict_resolved","by":"root","via":"invocation","user":"ana","device_id":"phone","conflict_id":"conf-1","channel":"user/ana","resource_type":"meter","resource_id":"m-1","resolution":"manual_merge","note":"because \"é\"","before":{"server_version":7,"deleted":false,"payload":{"code":"A","n": 1.0}},"after":null}"#;
const PACKED_RESOLUTION: &str = "4d8f4d6ac3301085af12de5a4e65979232bbde21ab12301369dc1864c9e8c760420ed473f462456aa15dce8c\
    def73edd315b10c4e7b8773d14388330e8e1d4e9beeb5fcefa95b426ad8ffdf0fc5eef26cfc18360829fdc6c\
    f2182505b78985c27507218690a1b0cd0cc2ecb760b845144a9208027b8682956d3632b6faf516bc40fd31db\
    b64ecdc9dcd87b71a04678fac9d7da128d8c795f058445b2c4fffbc6581aa029965ff1857d61372e123f6aa7\
    0fb9c6af62b824395cf0f57941fd8b4c210ae88e247193386e1253239caabc932c1634b14ba2b0f2ee02dbfa\
    da045b796f150d3af447fd7828f054edc817e71edf";

/// The texts of the other actions, as earlier builds wrote them.
const OTHERS: [&str; 4] = [
    r#"{"id":"entry-2","at":"2027-01-15T08:00:00.123Z","action":"replay_finished","by":"root","via":"api","user":"ana","device_id":"phone","batch_id":"ana#phone#b-1","runs_as":{"user":"ana","roles":["admin"],"groups":[]},"before":null,"after":[{"index":0,"client_temp_id":null,"status":"ok","server_id":"m-1","server_version":1}]}"#,
    r#"{"id":"entry-3","at":"2027-01-15T08:00:00.123Z","action":"admin_write","by":"root","via":"api","user":"root","device_id":"desk","resources":[{"channel":"group/north","resource_type":"meter","resource_id":"m-2","server_version":9,"deleted":true}],"before":null,"after":null}"#,
    r#"{"id":"entry-4","at":"2027-01-15T08:00:00.123Z","action":"repair","by":"operator","via":"policy","user":"operator","device_id":"","channel":"tenant","note":"reset","before":null,"after":null}"#,
    r#"{"id":"entry-5","at":"2027-01-15T08:00:00.123Z","action":"replay_started","by":"root","via":"api","user":"root","device_id":"","before":null,"after":null}"#,
];

fn read(text: &[u8]) -> serde_json::Result<AuditEntry> {
    serde_json::from_slice::<StoredEntry>(text).map(AuditEntry::from)
}

#[test]
fn packed_entry_of_earlier_build_is_read() {
    let digits = |at| u8::from_str_radix(&PACKED_RESOLUTION[at..at + 2], 16);
    let packed = (0..PACKED_RESOLUTION.len()).step_by(2).map(digits);
    let packed: Vec<u8> = packed.collect::<Result<_, _>>().expect("hexadecimal");

    let text = unpack(&packed, 1000).expect("a text");
    assert_eq!(text, RESOLUTION.as_bytes());
    assert_eq!(pack(&text)[1..], packed, "apart from the format version");
}

#[test]
fn stored_text_is_that_of_earlier_builds() {
    for text in [RESOLUTION].into_iter().chain(OTHERS) {
        let entry = read(text.as_bytes()).expect(text);
        let stored = serde_json::to_string(&StoredEntry::from(entry)).expect(text);
        assert_eq!(stored, text);
    }
}

#[test]
fn stored_resolution_has_every_field() {
    let entry = read(RESOLUTION.as_bytes()).expect("an entry");

    assert_eq!((&*entry.id, &*entry.by), ("entry-1", "root"));
    assert_eq!(entry.at.timestamp_millis(), 1_800_000_000_123);
    assert_eq!(
        (entry.action, entry.via),
        (AuditAction::ConflictResolved, Via::Invocation)
    );
    assert_eq!((&*entry.user, &*entry.device_id), ("ana", "phone"));
    assert_eq!(entry.conflict_id.as_deref(), Some("conf-1"));
    assert_eq!(entry.channel.as_deref(), Some("user/ana"));
    assert_eq!(entry.resource_type.as_deref(), Some("meter"));
    assert_eq!(entry.resource_id.as_deref(), Some("m-1"));
    assert_eq!(entry.resolution, Some(Resolution::ManualMerge));
    assert_eq!(entry.note.as_deref(), Some("because \"é\""));
    assert!(entry.before.is_some() && entry.after.is_none());
}
