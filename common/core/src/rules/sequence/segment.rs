//! Segments: consecutive changes, stored as one row of the log and linked to the previous segment.

use chrono::{DateTime, Utc};

use crate::model::{
    edit::Action,
    json::Json,
    limits::{SEGMENT_BYTES_MAX, SEGMENT_CHANGES_MAX},
    position::Position,
    principal::Author,
    resolution::ChangeResolution,
};

/// A change in the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The position of the change in the log.
    pub position: Position,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource.
    pub id: String,
    /// The action that changed the resource.
    pub action: Action,
    /// The version of the resource after the change.
    pub server_version: u64,
    /// The time of the change.
    pub changed_at: DateTime<Utc>,
    /// The device that made the change.
    pub author: Author,
    /// Whether the change is also delivered to its author, which may not have received the version
    /// that it changed.
    pub echo_to_author: bool,
    /// The conflicts that the change resolved.
    pub resolved_conflicts: Vec<ChangeResolution>,
    /// The complete payload after the change; `None` for a delete.
    pub payload: Option<Json>,
}

/// A part of the log: every change after the position that it follows, up to and including
/// `last`.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The position that the segment follows, which is also its key: a conditional put ensures that
    /// each position has at most one successor.
    pub follows: Position,
    /// The position of its last entry, and the key of the next segment.
    pub last: Position,
    /// The entries in log order; empty only if the log was reset.
    pub entries: Vec<Entry>,
}

impl Segment {
    /// Returns an upper bound of the bytes of the entries before compression.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(stored_bytes).sum()
    }
}

/// Splits entries that follow `head` into linked segments within one epoch, each small enough for a
/// row and a page.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use log::{at, entry};
/// use tidemark_core::{model::limits::SEGMENT_CHANGES_MAX, rules::sequence::segment::cut};
///
/// let entries = (1..=SEGMENT_CHANGES_MAX + 1)
///     .map(|number| entry(&number.to_string(), "m-1", number as u64))
///     .collect();
/// let segments = cut(at("0"), entries);
///
/// // The second segment follows the last entry of the first.
/// assert_eq!(segments.len(), 2);
/// assert_eq!(segments[0].entries.len(), SEGMENT_CHANGES_MAX);
/// assert_eq!((segments[0].follows, segments[1].follows), (at("0"), segments[0].last));
/// ```
pub fn cut(head: Position, entries: Vec<Entry>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut bytes = 0;
    let mut follows = head;

    for entry in entries {
        let entry_bytes = stored_bytes(&entry);
        let position = entry.position;

        match segments.last_mut() {
            // Two shards may assign one number to two changes: they share a segment, so that each
            // segment advances the position.
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
                    follows,
                    last: position,
                    entries: vec![entry],
                });
                bytes = entry_bytes;
            }
        }
        follows = position;
    }
    segments
}

/// Returns an upper bound of the bytes of an entry in a segment before compression.
fn stored_bytes(entry: &Entry) -> usize {
    let payload = entry
        .payload
        .as_ref()
        .map_or(0, |payload| payload.get().len());
    let names = crate::model::limits::escaped_bytes(&entry.id)
        + crate::model::limits::escaped_bytes(entry.author.as_str());
    payload + names + entry.resource_type.len() + 200 + 100 * entry.resolved_conflicts.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::Sequence;

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
            echo_to_author: false,
            resolved_conflicts: Vec::new(),
            payload: None,
        }
    }

    #[test]
    fn every_segment_advances_the_position() {
        let numbers = (1..=SEGMENT_CHANGES_MAX)
            .chain([SEGMENT_CHANGES_MAX; 2])
            .chain([SEGMENT_CHANGES_MAX + 1]);

        let segments = cut(position(0), numbers.map(entry).collect());
        assert!(
            segments
                .iter()
                .all(|segment| segment.follows < segment.last),
            "two changes with the same number share a segment"
        );
    }

    #[test]
    fn segment_has_at_most_one_page() {
        let segments = cut(
            position(0),
            (1..=2 * SEGMENT_CHANGES_MAX + 1).map(entry).collect(),
        );

        let cut: Vec<_> = segments
            .iter()
            .map(|segment| (segment.follows, segment.last, segment.entries.len()))
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
