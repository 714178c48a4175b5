//! One page of changes (§4.3, §4.6, §4.7): entries of the log and rows of snapshots go in until it
//! is full; a resource stands in it once, in its newest state.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use indexmap::{IndexMap, map::Entry as Place};
use serde_json::value::RawValue;

use super::own::Own;
use crate::{
    channel::Channel,
    conflict::ConflictResolution,
    json::Json,
    limits::{PAGE_BYTES_MAX, PAGE_READ_BYTES_MAX, PAGE_READ_ENTRIES_MAX, escaped_bytes},
    principal::Author,
    protocol::{
        Action,
        pull::{Change, ResolvedConflict},
    },
    receipts::WrittenVersion,
    resource::ResourceKey,
    sequence::{
        position::Position,
        segment::{Entry, Segment},
    },
};

/// Bytes that a decided conflict takes in the answer, at most.
const DECIDED_BYTES: usize = 120;

/// A page being filled.
#[derive(Debug)]
pub struct Page {
    changes_max: usize,
    bytes_left: usize,
    read_bytes: usize,
    read_entries: usize,
    reader: Option<String>,
    own: Own,
    /// Whether an own change was read that is not delivered by itself.
    leaves_own_out: bool,
    /// The own changes that were read.
    own_seen: Vec<WrittenVersion>,
    slots: IndexMap<ResourceKey, PageItem>,
    delivered: usize,
    oldest: Option<DateTime<Utc>>,
}

/// What the page says of a resource.
#[derive(Debug)]
struct PageItem {
    action: Action,
    payload: Option<Json>,
    server_version: u64,
    changed_at: DateTime<Utc>,
    /// Decided since, oldest first.
    decided: Vec<ResolvedConflict>,
    /// Whether anyone but the reader's device wrote one of the versions folded into it.
    is_news: bool,
    /// Bytes it takes in the answer, at most.
    bytes: usize,
}

/// What a snapshot shows of a resource.
#[derive(Debug, Clone)]
pub struct SnapshotItem {
    /// The payload without its `id`.
    pub payload: Json,
    /// The version that it is of.
    pub server_version: u64,
    /// A tombstone: a snapshot leaves it out.
    pub deleted: bool,
    /// When the resource changed last.
    pub changed_at: DateTime<Utc>,
    /// Conflicts about it that were decided last, oldest first.
    pub resolutions: Vec<ConflictResolution>,
}

/// The page takes no more: the rest comes with the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Page {
    /// A page of at most `changes_max` changes for the device `reader`, whose own changes are left
    /// out.
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

    /// The same page, which delivers these of the reader's own changes.
    pub fn with_own(self, own: Own) -> Self {
        Self { own, ..self }
    }

    /// Whether it leaves out an own change of the reader.
    pub fn leaves_own_out(&self) -> bool {
        self.leaves_own_out
    }

    /// The own changes of the reader that it has passed in the log, delivered or not.
    pub fn own_seen(&self) -> &[WrittenVersion] {
        &self.own_seen
    }

    /// When the oldest change was made that the page delivers from the log. A row of a snapshot has
    /// no age: it may be old and the device new. Nor have changes that the device made itself.
    pub fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest
    }

    /// Notes what was read for the page, whether or not it goes in: so many entries or rows, and
    /// their bytes.
    pub fn note_read(&mut self, entries: usize, bytes: usize) {
        self.read_entries += entries;
        self.read_bytes += bytes;
    }

    /// Whether the page ends because enough was read for it. What was read last is taken all the
    /// same, so every page gets on.
    pub fn is_spent(&self) -> bool {
        self.read_bytes >= PAGE_READ_BYTES_MAX || self.read_entries >= PAGE_READ_ENTRIES_MAX
    }

    /// How many more changes fit.
    pub fn room(&self) -> usize {
        self.changes_max - self.delivered
    }

    /// Takes an entry of a channel's log; entries come in log order.
    ///
    /// # Errors
    /// [`Full`] when it does not fit: the page ends before it.
    pub fn take_entry(&mut self, channel: &Channel, entry: Entry) -> Result<(), Full> {
        let is_own = self.reader.as_deref() == Some(entry.author.as_str());
        let Entry {
            resource_type,
            id,
            action,
            server_version,
            changed_at,
            decided,
            payload,
            is_echoed,
            ..
        } = entry;
        let key = ResourceKey {
            channel: channel.clone(),
            resource_type,
            id,
        };
        let made = is_own.then(|| WrittenVersion::new(&key, server_version));
        let is_news = is_echoed || made.is_none_or(|made| self.own.delivers(channel, made));
        let bytes = bytes(&key, payload.as_deref(), decided.len());
        self.take(
            key,
            PageItem {
                action,
                payload,
                server_version,
                changed_at,
                decided,
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

    /// Takes a row of a channel's snapshot; deleted ones are left out.
    ///
    /// # Errors
    /// [`Full`] when it does not fit: the page ends before it.
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
            decided: resource
                .resolutions
                .into_iter()
                .map(ConflictResolution::into_decided)
                .collect(),
            is_news: true,
        };
        self.take(key, slot)
    }

    fn take(&mut self, key: ResourceKey, slot: PageItem) -> Result<(), Full> {
        match self.slots.entry(key) {
            Place::Vacant(place) => {
                let delivered = self.delivered + usize::from(slot.is_news);
                if delivered > self.changes_max || slot.bytes > self.bytes_left {
                    return Err(Full);
                }
                self.delivered = delivered;
                self.bytes_left -= slot.bytes;
                place.insert(slot);
            }
            Place::Occupied(mut place) => {
                let stands = place.get_mut();
                let delivered = self.delivered + usize::from(slot.is_news && !stands.is_news);
                let (room, bytes) = (self.bytes_left + stands.bytes, stands.bytes_with(&slot));
                if delivered > self.changes_max || bytes > room {
                    return Err(Full);
                }
                self.delivered = delivered;
                self.bytes_left = room - bytes;
                stands.fold(slot);
            }
        }
        Ok(())
    }

    /// The changes, each resource where it first appeared.
    pub fn into_changes(self) -> Vec<Change> {
        self.slots
            .into_iter()
            .filter(|(_, slot)| slot.is_news)
            .map(|(key, slot)| slot.told(key))
            .collect()
    }
}

impl PageItem {
    /// Folds another change of the same resource into this one: the newer takes its place. What the
    /// reader has not seen created is a create still.
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
        // Conflicts decided since are told, whichever version decided them.
        let mut decided = std::mem::take(&mut self.decided);
        decided.retain(|conflict| !other.decided.contains(conflict));
        decided.extend(other.decided);
        *self = Self {
            action,
            decided,
            bytes,
            is_news: self.is_news,
            ..other
        };
    }

    /// Bytes it takes once the other is folded into it.
    fn bytes_with(&self, other: &Self) -> usize {
        if other.server_version < self.server_version {
            return self.bytes;
        }
        let kept = self
            .decided
            .iter()
            .filter(|conflict| !other.decided.contains(conflict));
        other.bytes + DECIDED_BYTES * kept.count()
    }

    /// The change that says so.
    fn told(self, key: ResourceKey) -> Change {
        let Self {
            action,
            payload,
            server_version,
            changed_at,
            decided,
            ..
        } = self;
        let conflict = decided.last().cloned();
        let conflicts = if decided.len() > 1 {
            decided
        } else {
            Vec::new()
        };
        let ResourceKey {
            channel,
            resource_type,
            id,
        } = key;
        Change {
            id,
            resource_type,
            channel: channel.to_string(),
            action,
            payload,
            server_version,
            changed_at,
            conflict,
            conflicts,
        }
    }
}

/// Bytes that a change takes in the answer, at most.
fn bytes(key: &ResourceKey, payload: Option<&RawValue>, decided: usize) -> usize {
    let payload = payload.map_or(0, |payload| escaped_bytes(payload.get()));
    // Names are written twice escaped at worst: as JSON in the body, and the body as JSON by
    // Lambda.
    let names = 2 * (escaped_bytes(&key.id) + escaped_bytes(key.channel.name()));
    payload + names + key.resource_type.len() + 310 + DECIDED_BYTES * decided
}

/// Whether a segment leads on from `position`: it follows it, or holds it. Where it does neither,
/// the position stems from a log that was since restored, or what followed it has expired.
pub fn is_contiguous(position: Position, segment: &Segment) -> bool {
    segment.prev == position
        || segment
            .entries
            .iter()
            .any(|entry| entry.position == position)
}
