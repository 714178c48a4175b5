//! One page of changes (§4.3, §4.6, §4.7): entries of the log and rows of snapshots go in until it is full; a resource stands in it
//! once, in its newest state.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::{
    channel::Channel,
    conflict::Resolved,
    json::Json,
    limits::{HOLE_SECONDS_MAX, PAGE_BYTES_MAX, escaped_bytes},
    principal::Author,
    protocol::{Action, pull::Change},
    resource::ResourceKey,
    sequence::{position::Position, segment::Entry},
};

/// A page being filled.
#[derive(Debug)]
pub struct Page {
    changes_max: usize,
    bytes_left: usize,
    reader: Option<String>,
    slots: Vec<Slot>,
    by_resource: HashMap<ResourceKey, usize>,
    delivered: usize,
    oldest: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Slot {
    change: Change,
    bytes: usize,
    /// Whether anyone but the reader's device wrote one of the versions folded into it.
    is_news: bool,
}

/// What a snapshot shows of a resource.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The payload without its `id`.
    pub payload: Json,
    /// The version that it is of.
    pub server_version: u64,
    /// A tombstone: a snapshot leaves it out.
    pub deleted: bool,
    /// When the resource changed last.
    pub changed_at: DateTime<Utc>,
    /// Conflicts about it that were decided last, oldest first.
    pub resolutions: Vec<Resolved>,
}

/// The page takes no more: the rest comes with the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Page {
    /// A page of at most `changes_max` changes for the device `reader`, whose own changes are left out.
    pub fn new(changes_max: usize, reader: Option<&Author>) -> Self {
        Self {
            changes_max,
            bytes_left: PAGE_BYTES_MAX,
            reader: reader.map(|reader| reader.as_str().to_owned()),
            slots: Vec::new(),
            by_resource: HashMap::new(),
            delivered: 0,
            oldest: None,
        }
    }

    /// When the oldest change was made that the page delivers from the log. A row of a snapshot has no age: it may be old and the device
    /// new. Nor have changes that the device made itself.
    pub fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest
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
        let is_news = entry.is_echoed || self.reader.as_deref() != Some(entry.author.as_str());
        let change = Change {
            id: entry.id,
            resource_type: entry.resource_type,
            channel: channel.to_string(),
            action: entry.action,
            payload: entry.payload,
            server_version: entry.server_version,
            changed_at: entry.changed_at,
            conflict: None,
            conflicts: entry.decided,
        };
        self.take(channel, change, is_news)?;
        if is_news {
            self.oldest = Some(self.oldest.map_or(entry.changed_at, |oldest| oldest.min(entry.changed_at)));
        }
        Ok(())
    }

    /// Takes a row of a channel's snapshot; deleted ones are left out.
    ///
    /// # Errors
    /// [`Full`] when it does not fit: the page ends before it.
    pub fn take_row(&mut self, key: ResourceKey, resource: Shown) -> Result<(), Full> {
        if resource.deleted {
            return Ok(());
        }
        let change = Change {
            id: key.id,
            resource_type: key.resource_type,
            channel: key.channel.to_string(),
            action: Action::Create,
            payload: Some(resource.payload),
            server_version: resource.server_version,
            changed_at: resource.changed_at,
            conflict: None,
            conflicts: resource.resolutions.into_iter().map(Resolved::into_decided).collect(),
        };
        self.take(&key.channel, change, true)
    }

    fn take(&mut self, channel: &Channel, change: Change, is_news: bool) -> Result<(), Full> {
        let key = ResourceKey { channel: channel.clone(), resource_type: change.resource_type.clone(), id: change.id.clone() };
        let bytes = change_bytes(&change);
        match self.by_resource.get(&key).map(|slot| &mut self.slots[*slot]) {
            None => {
                let delivered = self.delivered + usize::from(is_news);
                if delivered > self.changes_max || bytes > self.bytes_left {
                    return Err(Full);
                }
                self.by_resource.insert(key, self.slots.len());
                self.slots.push(Slot { change, bytes, is_news });
                self.delivered = delivered;
                self.bytes_left -= bytes;
            }
            Some(slot) => {
                let delivered = self.delivered + usize::from(is_news && !slot.is_news);
                if delivered > self.changes_max || bytes > self.bytes_left + slot.bytes {
                    return Err(Full);
                }
                self.delivered = delivered;
                slot.is_news |= is_news;
                if change.server_version >= slot.change.server_version {
                    self.bytes_left = self.bytes_left + slot.bytes - bytes;
                    slot.replace(change, bytes);
                }
            }
        }
        Ok(())
    }

    /// The changes, each resource where it first appeared.
    pub fn into_changes(self) -> Vec<Change> {
        let told = |mut change: Change| {
            change.conflict = change.conflicts.last().cloned();
            if change.conflicts.len() == 1 {
                change.conflicts.clear();
            }
            change
        };
        self.slots.into_iter().filter(|slot| slot.is_news).map(|slot| told(slot.change)).collect()
    }
}

impl Slot {
    /// Puts a later change of the same resource in this one's place. What the reader has not seen created is a create still.
    fn replace(&mut self, change: Change, bytes: usize) {
        let action = match (self.change.action, change.action) {
            (Action::Create, Action::Update) => Action::Create,
            (_, action) => action,
        };
        // Conflicts decided since are told, whichever version decided them.
        let mut conflicts = std::mem::take(&mut self.change.conflicts);
        conflicts.retain(|decided| !change.conflicts.contains(decided));
        conflicts.extend(change.conflicts);
        self.change = Change { action, conflicts, ..change };
        self.bytes = bytes;
    }
}

fn change_bytes(change: &Change) -> usize {
    let payload = change.payload.as_ref().map_or(0, |payload| escaped_bytes(payload.get()));
    // Names are written twice escaped at worst: as JSON in the body, and the body as JSON by Lambda.
    let names = 2 * (escaped_bytes(&change.id) + escaped_bytes(&change.channel));
    payload + names + change.resource_type.len() + 300 + 120 * change.conflicts.len()
}

/// How a stretch of the log that was read continues from a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It goes on right there.
    Linked,
    /// A segment is missing in between, which a transaction may still be making visible: wait for it.
    Missing,
    /// It cannot be reached from the position: the device starts over.
    Broken,
}

/// How the segment from `prev` to the last of `entries` continues from `position`. A position inside a segment is one of its
/// entries; otherwise it stems from a log that was since restored.
pub fn link(position: Position, prev: Position, sequenced_at: DateTime<Utc>, entries: &[Entry], now: DateTime<Utc>) -> Link {
    if prev == position {
        return Link::Linked;
    }
    if prev < position {
        let stands_in = entries.iter().any(|entry| entry.position == position);
        return if stands_in { Link::Linked } else { Link::Broken };
    }
    missing(sequenced_at, now)
}

/// What a segment is that should be there and is not, given when the log moved past it.
pub fn missing(passed_at: DateTime<Utc>, now: DateTime<Utc>) -> Link {
    if (now - passed_at).num_seconds() > HOLE_SECONDS_MAX { Link::Broken } else { Link::Missing }
}
