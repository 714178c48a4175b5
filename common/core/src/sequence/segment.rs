//! Segments: changes packed into rows of the log, each linked to the one before.

mod stored;

use chrono::{DateTime, Utc};

use super::position::Position;
use crate::{
    json::Json,
    limits::{SEGMENT_BYTES_MAX, SEGMENT_CHANGES_MAX},
    pack,
    principal::Author,
    protocol::{Action, pull::ResolvedConflict},
};

/// A change in the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// Type of the resource.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// What happened to it.
    pub action: Action,
    /// Its version then.
    pub server_version: u64,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// By which device.
    pub author: Author,
    /// Delivered to its author too, who may not have seen what it was written on.
    pub is_echoed: bool,
    /// The conflicts that the change decided.
    pub decided: Vec<ResolvedConflict>,
    /// Its whole payload; none for a delete.
    pub payload: Option<Json>,
}

/// A stretch of the log: everything after `prev` up to and including `last`.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The head before it, and its key: what follows a head is decided by whoever puts it there
    /// first.
    pub prev: Position,
    /// The position of its last entry, and the key of the segment that follows.
    pub last: Position,
    /// In log order; empty only where the log starts over.
    pub entries: Vec<Entry>,
}

/// Entries that do not unpack: a damaged row.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Not compressed by us.
    #[error(transparent)]
    Unpack(#[from] pack::UnpackError),
    /// Not the text of entries.
    #[error("segment entries: {0}")]
    Entries(#[from] serde_json::Error),
    /// What is left out does not stand in the entry before.
    #[error("segment entries do not follow each other, or are too many")]
    Difference,
}

impl Segment {
    /// Bytes of its entries before compression, at most.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(stored_bytes).sum()
    }

    /// The entries as they are stored.
    pub fn packed_entries(&self) -> Vec<u8> {
        let entries = serde_json::to_vec(&stored::differences(&self.entries)).unwrap_or_default(); // text keys and JSON texts always serialise
        pack::pack(&entries)
    }

    /// Reads stored entries back.
    ///
    /// # Errors
    /// [`SegmentError`] for a damaged row.
    pub fn unpack_entries(packed: &[u8]) -> Result<Vec<Entry>, SegmentError> {
        let text = pack::unpack(packed, 2 * SEGMENT_BYTES_MAX)?;
        stored::entries(serde_json::from_slice(&text)?).ok_or(SegmentError::Difference)
    }
}

/// Cuts entries that follow `head` into linked segments, each small enough for a row and a page,
/// and within one epoch.
pub fn cut(head: Position, entries: Vec<Entry>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut bytes = 0;
    let mut prev = head;
    for entry in entries {
        let entry_bytes = stored_bytes(&entry);
        let position = entry.position;
        match segments.last_mut() {
            // Two shards may give one number to two changes: a segment always leads on.
            Some(open)
                if open.last == position
                    || bytes + entry_bytes <= SEGMENT_BYTES_MAX
                        && open.entries.len() < SEGMENT_CHANGES_MAX
                        && open.last.epoch == position.epoch =>
            {
                open.last = position;
                open.entries.push(entry);
                bytes += entry_bytes;
            }
            _ => {
                segments.push(Segment {
                    prev,
                    last: position,
                    entries: vec![entry],
                });
                bytes = entry_bytes;
            }
        }
        prev = position;
    }
    segments
}

/// Bytes an entry takes in a segment before compression, at most.
fn stored_bytes(entry: &Entry) -> usize {
    let payload = entry
        .payload
        .as_ref()
        .map_or(0, |payload| payload.get().len());
    let names = crate::limits::escaped_bytes(&entry.id)
        + crate::limits::escaped_bytes(entry.author.as_str());
    payload + names + entry.resource_type.len() + 200 + 100 * entry.decided.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::position::Sequence;

    fn position(number: usize) -> Position {
        Position {
            epoch: 1,
            sequence: Sequence::parse(&number.to_string()).expect("digits"),
            late: 0,
        }
    }

    fn entry(number: usize) -> Entry {
        Entry {
            position: position(number),
            resource_type: "meter".into(),
            id: "m".into(),
            action: Action::Update,
            server_version: 1,
            changed_at: DateTime::UNIX_EPOCH,
            author: Author::device("ana", "phone"),
            is_echoed: false,
            decided: Vec::new(),
            payload: None,
        }
    }

    #[test]
    fn a_segment_always_leads_on() {
        let numbers = (1..=SEGMENT_CHANGES_MAX)
            .chain([SEGMENT_CHANGES_MAX; 2])
            .chain([SEGMENT_CHANGES_MAX + 1]);
        let segments = cut(position(0), numbers.map(entry).collect());
        assert!(
            segments.iter().all(|segment| segment.prev < segment.last),
            "two changes of one number stand in one segment"
        );
        for segment in segments {
            let read = Segment::unpack_entries(&segment.packed_entries()).expect("it reads");
            assert_eq!(read.len(), segment.entries.len());
        }
    }

    #[test]
    fn a_segment_is_a_page_at_most() {
        let segments = cut(
            position(0),
            (1..=2 * SEGMENT_CHANGES_MAX + 1).map(entry).collect(),
        );
        let cut: Vec<_> = segments
            .iter()
            .map(|segment| (segment.prev, segment.last, segment.entries.len()))
            .collect();
        let (page, end) = (SEGMENT_CHANGES_MAX, 2 * SEGMENT_CHANGES_MAX);
        let expected = [
            (position(0), position(page), page),
            (position(page), position(end), page),
            (position(end), position(end + 1), 1),
        ];
        assert_eq!(cut, expected);
    }
}
