//! One page of changes (§4.3, §4.6, §4.7): entries of the log and rows of snapshots go in until it is full; a resource stands in it
//! once, in its newest state.

use chrono::{DateTime, Utc};
use indexmap::{IndexMap, map::Entry as Place};

use crate::{
    channel::Channel,
    conflict::Resolved,
    json::Json,
    limits::{HOLE_SECONDS_MAX, PAGE_BYTES_MAX, escaped_bytes},
    principal::Author,
    protocol::{
        Action,
        pull::{Change, DecidedConflict},
    },
    resource::ResourceKey,
    sequence::{position::Position, segment::Entry},
};

/// A page being filled.
#[derive(Debug)]
pub struct Page {
    changes_max: usize,
    bytes_left: usize,
    reader: Option<String>,
    slots: IndexMap<ResourceKey, Slot>,
    delivered: usize,
    oldest: Option<DateTime<Utc>>,
}

/// What the page says of a resource.
#[derive(Debug)]
struct Slot {
    action: Action,
    payload: Option<Json>,
    server_version: u64,
    changed_at: DateTime<Utc>,
    /// Decided since, oldest first.
    decided: Vec<DecidedConflict>,
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
            slots: IndexMap::new(),
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
        let Entry { resource_type, id, action, server_version, changed_at, decided, payload, .. } = entry;
        let key = ResourceKey { channel: channel.clone(), resource_type, id };
        self.take(key, Slot { action, payload, server_version, changed_at, decided, is_news })?;
        if is_news {
            self.oldest = Some(self.oldest.map_or(changed_at, |oldest| oldest.min(changed_at)));
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
        let slot = Slot {
            action: Action::Create,
            payload: Some(resource.payload),
            server_version: resource.server_version,
            changed_at: resource.changed_at,
            decided: resource.resolutions.into_iter().map(Resolved::into_decided).collect(),
            is_news: true,
        };
        self.take(key, slot)
    }

    fn take(&mut self, key: ResourceKey, slot: Slot) -> Result<(), Full> {
        let bytes = slot.bytes(&key);
        match self.slots.entry(key) {
            Place::Vacant(place) => {
                let delivered = self.delivered + usize::from(slot.is_news);
                if delivered > self.changes_max || bytes > self.bytes_left {
                    return Err(Full);
                }
                self.delivered = delivered;
                self.bytes_left -= bytes;
                place.insert(slot);
            }
            Place::Occupied(mut place) => {
                let before = place.get().bytes(place.key());
                let stands = place.get_mut();
                let delivered = self.delivered + usize::from(slot.is_news && !stands.is_news);
                if delivered > self.changes_max || bytes > self.bytes_left + before {
                    return Err(Full);
                }
                self.delivered = delivered;
                stands.is_news |= slot.is_news;
                if slot.server_version >= stands.server_version {
                    stands.replace(slot);
                    let after = place.get().bytes(place.key());
                    self.bytes_left = (self.bytes_left + before).saturating_sub(after);
                }
            }
        }
        Ok(())
    }

    /// The changes, each resource where it first appeared.
    pub fn into_changes(self) -> Vec<Change> {
        self.slots.into_iter().filter(|(_, slot)| slot.is_news).map(|(key, slot)| slot.told(key)).collect()
    }
}

impl Slot {
    /// Puts a later change of the same resource in this one's place. What the reader has not seen created is a create still.
    fn replace(&mut self, later: Self) {
        let action = match (self.action, later.action) {
            (Action::Create, Action::Update) => Action::Create,
            (_, action) => action,
        };
        // Conflicts decided since are told, whichever version decided them.
        let mut decided = std::mem::take(&mut self.decided);
        decided.retain(|conflict| !later.decided.contains(conflict));
        decided.extend(later.decided);
        *self = Self { action, decided, is_news: self.is_news, ..later };
    }

    /// Bytes it takes in the answer, at most.
    fn bytes(&self, key: &ResourceKey) -> usize {
        let payload = self.payload.as_ref().map_or(0, |payload| escaped_bytes(payload.get()));
        // Names are written twice escaped at worst: as JSON in the body, and the body as JSON by Lambda.
        let names = 2 * (escaped_bytes(&key.id) + escaped_bytes(key.channel.name()));
        payload + names + key.resource_type.len() + 310 + 120 * self.decided.len()
    }

    /// The change that says so.
    fn told(self, key: ResourceKey) -> Change {
        let Self { action, payload, server_version, changed_at, decided, is_news: _ } = self;
        let conflict = decided.last().cloned();
        let conflicts = if decided.len() > 1 { decided } else { Vec::new() };
        let ResourceKey { channel, resource_type, id } = key;
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
