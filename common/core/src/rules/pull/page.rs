//! One page of changes (§4.3, §4.6, §4.7): collects entries of the log and rows of snapshots until
//! the page is full. A page contains each resource once, in its newest state.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use indexmap::{IndexMap, map::Entry as MapEntry};
use serde_json::value::RawValue;

use crate::{
    model::{
        change::PulledChange,
        channel::Channel,
        edit::Action,
        json::Json,
        limits::{PAGE_BYTES_MAX, PAGE_READ_BYTES_MAX, PAGE_READ_ENTRIES_MAX, escaped_bytes},
        position::Position,
        principal::Author,
        receipts::WrittenVersion,
        resolution::{ChangeResolution, ConflictResolution},
        resource::ResourceKey,
    },
    rules::{
        pull::own::Own,
        sequence::segment::{Entry, Segment},
    },
};

/// An upper bound of the bytes that a resolved conflict takes in the response.
const DECIDED_BYTES: usize = 120;

/// A page that is being filled.
#[derive(Debug)]
pub struct Page {
    changes_max: usize,
    bytes_left: usize,
    read_bytes: usize,
    read_entries: usize,
    reader: Option<String>,
    own: Own,
    /// Whether the page omits an own change of the reader that was read.
    leaves_own_out: bool,
    /// The own changes of the reader that were read.
    own_seen: Vec<WrittenVersion>,
    slots: IndexMap<ResourceKey, PageItem>,
    delivered: usize,
    oldest: Option<DateTime<Utc>>,
}

/// The state of one resource in the page.
#[derive(Debug)]
struct PageItem {
    action: Action,
    payload: Option<Json>,
    server_version: u64,
    changed_at: DateTime<Utc>,
    /// Conflicts resolved since, oldest first.
    resolved_conflicts: Vec<ChangeResolution>,
    /// Whether the item is delivered: one of the versions folded into it is not an omitted own
    /// change of the reader.
    is_news: bool,
    /// An upper bound of the bytes that the item takes in the response.
    bytes: usize,
}

/// The state of a resource in a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotItem {
    /// The payload without its `id`.
    pub payload: Json,
    /// The version that has the payload.
    pub server_version: u64,
    /// Whether the row is a tombstone; a snapshot omits it.
    pub deleted: bool,
    /// The time of the resource's last change.
    pub changed_at: DateTime<Utc>,
    /// The most recently resolved conflicts about the resource, oldest first.
    pub resolutions: Vec<ConflictResolution>,
}

/// The result if the page has no room: the remaining changes are part of the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Page {
    /// Returns an empty page of at most `changes_max` changes for the device `reader`, whose own
    /// changes are omitted.
    pub fn new(changes_max: usize, reader: Option<&Author>) -> Self {
        Self {
            changes_max,
            bytes_left: PAGE_BYTES_MAX,
            read_bytes: 0,
            read_entries: 0,
            reader: reader.map(|reader| reader.as_str().to_owned()),
            own: Own::Omit(BTreeSet::new()),
            leaves_own_out: false,
            own_seen: Vec::new(),
            slots: IndexMap::new(),
            delivered: 0,
            oldest: None,
        }
    }

    /// Returns the page with another rule for the reader's own changes.
    pub fn with_own(self, own: Own) -> Self {
        Self { own, ..self }
    }

    /// Returns whether the page omits an own change of the reader.
    pub fn leaves_own_out(&self) -> bool {
        self.leaves_own_out
    }

    /// Returns the own changes of the reader that the page has passed in the log, delivered or not.
    pub fn own_seen(&self) -> &[WrittenVersion] {
        &self.own_seen
    }

    /// Returns when the oldest change was made that the page delivers from the log. Rows of a
    /// snapshot have no age, because they may be old and the device new, and neither have the
    /// device's own changes.
    pub fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest
    }

    /// Records the number of entries or rows that were read for the page and their bytes, whether
    /// or not the page includes them.
    pub fn note_read(&mut self, entries: usize, bytes: usize) {
        self.read_entries += entries;
        self.read_bytes += bytes;
    }

    /// Returns whether the page ends because enough was read for it. What was read last is still
    /// added, so every page makes progress.
    pub fn is_exhausted(&self) -> bool {
        self.read_bytes >= PAGE_READ_BYTES_MAX || self.read_entries >= PAGE_READ_ENTRIES_MAX
    }

    /// Returns how many more changes fit.
    pub fn room(&self) -> usize {
        self.changes_max - self.delivered
    }

    /// Adds an entry of a channel's log; entries come in log order.
    ///
    /// # Errors
    /// Returns [`Full`] if the entry does not fit: the page ends before it.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use log::entry;
    /// use tidemark_core::model::{channel::Channel, edit::Action, principal::Author};
    /// use tidemark_core::rules::pull::page::{Full, Page};
    ///
    /// // Two changes of one resource are delivered as one; another resource has no room.
    /// let mut page = Page::new(1, Some(&Author::device("ben", "tablet")));
    /// page.take_entry(&Channel::Tenant, entry("1", "m-1", 1)).unwrap();
    /// page.take_entry(&Channel::Tenant, entry("2", "m-1", 2)).unwrap();
    /// assert_eq!(page.take_entry(&Channel::Tenant, entry("3", "m-2", 1)), Err(Full));
    /// let changes = page.into_changes();
    /// assert_eq!((changes[0].action, changes[0].server_version), (Action::Create, 2));
    ///
    /// // The phone, which made the change, does not receive it.
    /// let mut page = Page::new(1, Some(&Author::device("ana", "phone")));
    /// page.take_entry(&Channel::Tenant, entry("1", "m-1", 1)).unwrap();
    /// assert!(page.leaves_own_out() && page.into_changes().is_empty());
    /// ```
    pub fn take_entry(&mut self, channel: &Channel, entry: Entry) -> Result<(), Full> {
        let is_own = self.reader.as_deref() == Some(entry.author.as_str());
        let Entry {
            resource_type,
            id,
            action,
            server_version,
            changed_at,
            resolved_conflicts,
            payload,
            echo_to_author,
            ..
        } = entry;

        let key = ResourceKey {
            channel: channel.clone(),
            resource_type,
            id,
        };

        let made = is_own.then(|| WrittenVersion::new(&key, server_version));
        let is_news = echo_to_author || made.is_none_or(|made| self.own.delivers(channel, made));
        let bytes = bytes(&key, payload.as_deref(), resolved_conflicts.len());

        self.take(
            key,
            PageItem {
                action,
                payload,
                server_version,
                changed_at,
                resolved_conflicts,
                is_news,
                bytes,
            },
        )?;

        self.leaves_own_out |= !is_news;
        self.own_seen.extend(made);
        if is_news {
            self.oldest = Some(
                self.oldest
                    .map_or(changed_at, |oldest| oldest.min(changed_at)),
            );
        }
        Ok(())
    }

    /// Adds a row of a channel's snapshot; tombstones are omitted.
    ///
    /// # Errors
    /// Returns [`Full`] if the row does not fit: the page ends before it.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use tidemark_core::rules::pull::page::{Page, SnapshotItem};
    ///
    /// let row = |deleted| SnapshotItem {
    ///     payload: Default::default(),
    ///     server_version: 3,
    ///     deleted,
    ///     changed_at: Default::default(),
    ///     resolutions: vec![],
    /// };
    /// let mut page = Page::new(10, None);
    /// page.take_row(log::meter("m-1"), row(false)).unwrap();
    /// page.take_row(log::meter("m-2"), row(true)).unwrap();
    /// let changes = page.into_changes();
    /// assert!(changes.iter().map(|change| &change.key.id).eq(["m-1"]));
    /// ```
    pub fn take_row(&mut self, key: ResourceKey, resource: SnapshotItem) -> Result<(), Full> {
        if resource.deleted {
            return Ok(());
        }

        let slot = PageItem {
            action: Action::Create,
            bytes: bytes(&key, Some(&resource.payload), resource.resolutions.len()),
            payload: Some(resource.payload),
            server_version: resource.server_version,
            changed_at: resource.changed_at,
            resolved_conflicts: resource
                .resolutions
                .into_iter()
                .map(ConflictResolution::into_change_resolution)
                .collect(),
            is_news: true,
        };

        self.take(key, slot)
    }

    fn take(&mut self, key: ResourceKey, slot: PageItem) -> Result<(), Full> {
        match self.slots.entry(key) {
            MapEntry::Vacant(place) => {
                let delivered = self.delivered + usize::from(slot.is_news);
                if delivered > self.changes_max || slot.bytes > self.bytes_left {
                    return Err(Full);
                }
                self.delivered = delivered;
                self.bytes_left -= slot.bytes;
                place.insert(slot);
            }
            MapEntry::Occupied(mut place) => {
                let existing = place.get_mut();
                let delivered = self.delivered + usize::from(slot.is_news && !existing.is_news);
                let (room, bytes) = (self.bytes_left + existing.bytes, existing.bytes_with(&slot));
                if delivered > self.changes_max || bytes > room {
                    return Err(Full);
                }

                self.delivered = delivered;
                self.bytes_left = room - bytes;
                existing.fold(slot);
            }
        }
        Ok(())
    }

    /// Returns the changes, each resource at the position of its first appearance.
    ///
    /// See the example of [`take_entry`](Self::take_entry).
    pub fn into_changes(self) -> Vec<PulledChange> {
        self.slots
            .into_iter()
            .filter(|(_, slot)| slot.is_news)
            .map(|(key, slot)| slot.into_change(key))
            .collect()
    }
}

impl PageItem {
    /// Folds another change of the same resource into this one: the newer state replaces the older.
    /// The result stays a create if the reader has not received the create.
    fn fold(&mut self, other: Self) {
        self.is_news |= other.is_news;
        if other.server_version < self.server_version {
            return;
        }

        let bytes = self.bytes_with(&other);
        let action = match (self.action, other.action) {
            (Action::Create, Action::Update) => Action::Create,
            (_, action) => action,
        };

        // Conflicts resolved since are all reported, regardless of the version that resolved them.
        let mut resolved_conflicts = std::mem::take(&mut self.resolved_conflicts);
        resolved_conflicts.retain(|conflict| !other.resolved_conflicts.contains(conflict));
        resolved_conflicts.extend(other.resolved_conflicts);

        *self = Self {
            action,
            resolved_conflicts,
            bytes,
            is_news: self.is_news,
            ..other
        };
    }

    /// Returns the bytes of the item after folding `other` into it.
    fn bytes_with(&self, other: &Self) -> usize {
        if other.server_version < self.server_version {
            return self.bytes;
        }
        let kept = self
            .resolved_conflicts
            .iter()
            .filter(|conflict| !other.resolved_conflicts.contains(conflict));
        other.bytes + DECIDED_BYTES * kept.count()
    }

    /// Converts the item to a change of the resource `key`.
    fn into_change(self, key: ResourceKey) -> PulledChange {
        let Self {
            action,
            payload,
            server_version,
            changed_at,
            resolved_conflicts,
            ..
        } = self;

        PulledChange {
            key,
            action,
            payload,
            server_version,
            changed_at,
            resolved_conflicts,
        }
    }
}

/// Returns an upper bound of the bytes that a change takes in the response.
fn bytes(key: &ResourceKey, payload: Option<&RawValue>, resolved_conflicts: usize) -> usize {
    let payload = payload.map_or(0, |payload| escaped_bytes(payload.get()));
    // In the worst case names are escaped twice: as JSON in the body, and the body as a JSON string
    // by Lambda.
    let names = 2 * (escaped_bytes(&key.id) + escaped_bytes(key.channel.name()));
    payload + names + key.resource_type.len() + 310 + DECIDED_BYTES * resolved_conflicts
}

/// Returns whether a segment is contiguous with `position`: it follows the position or contains it.
/// Otherwise the position was issued by a log that was restored since, or the changes after it have
/// expired.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use log::{at, entry};
/// use tidemark_core::rules::{pull::page::is_contiguous, sequence::segment::cut};
///
/// let entries = vec![entry("6", "m-1", 1), entry("7", "m-2", 1)];
/// let segment = &cut(at("5"), entries)[0];
/// assert!(is_contiguous(at("5"), segment), "the segment follows the position");
/// assert!(is_contiguous(at("6"), segment), "the segment contains the position");
/// assert!(!is_contiguous(at("4"), segment), "the change at 5 has expired");
/// ```
pub fn is_contiguous(position: Position, segment: &Segment) -> bool {
    segment.follows == position
        || segment
            .entries
            .iter()
            .any(|entry| entry.position == position)
}
