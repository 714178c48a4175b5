// The change log of a channel, for the examples in the documentation of the crate, which include
// this file. It uses only the public interface.

use tidemark_core::{
    model::{
        channel::Channel,
        edit::Action,
        json::Json,
        position::{Position, Sequence},
        principal::Author,
        resource::ResourceKey,
    },
    rules::sequence::{
        plan::{Head, Record},
        segment::Entry,
    },
};

/// Returns the position of the record with this number in the stream `s`.
pub fn at(sequence: &str) -> Position {
    Position {
        epoch: 1,
        sequence: Sequence::parse(sequence).unwrap(),
        late: 0,
    }
}

/// Returns the head of a log that ends at this record.
pub fn head(sequence: &str) -> Head {
    Head {
        position: at(sequence),
        stream: "s".into(),
        floor: None,
        moved_at: Default::default(),
        repaired_at: None,
    }
}

/// Returns the key of the meter with this id.
pub fn meter(id: &str) -> ResourceKey {
    ResourceKey {
        channel: Channel::Tenant,
        resource_type: "meter".into(),
        id: id.into(),
    }
}

/// Returns the stream record of a version of the meter `id` that the device `phone` of the user
/// `ana` wrote.
pub fn record(sequence: &str, id: &str, server_version: u64) -> Record {
    Record {
        stream: "s".into(),
        sequence: Sequence::parse(sequence).unwrap(),
        key: meter(id),
        action: action(server_version),
        server_version,
        changed_at: Default::default(),
        author: Author::device("ana", "phone"),
        echo_to_author: false,
        resolved_conflicts: vec![],
        payload: Some(payload(server_version)),
    }
}

/// Returns the entry that the log contains for such a record.
pub fn entry(sequence: &str, id: &str, server_version: u64) -> Entry {
    let record = record(sequence, id, server_version);
    Entry {
        position: at(sequence),
        resource_type: record.key.resource_type,
        id: record.key.id,
        action: record.action,
        server_version,
        changed_at: record.changed_at,
        author: record.author,
        echo_to_author: false,
        resolved_conflicts: vec![],
        payload: record.payload,
    }
}

fn action(server_version: u64) -> Action {
    if server_version == 1 {
        Action::Create
    } else {
        Action::Update
    }
}

fn payload(server_version: u64) -> Json {
    serde_json::from_str(&format!(r#"{{"value":{server_version}}}"#)).unwrap()
}
