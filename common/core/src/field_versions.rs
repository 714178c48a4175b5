//! Who wrote which top-level field last (§5, `field_merge`): what decides whether an edit overlaps
//! with what others wrote since its base. Kept in the row of types that merge by field, for the
//! fields that changed after the create.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    catalog::Policy,
    json::{self, Json},
    limits::PAYLOAD_FIELDS_MAX,
    principal::Author,
    resource::{Resource, device_hash},
};

/// The last writes of a resource's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldVersions {
    /// Writes at or below this version are forgotten.
    floor: u64,
    writes: Vec<Write>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Write {
    /// Hash of the field's name. Two names of one hash overlap, which costs a conflict and loses
    /// nothing.
    field: u32,
    /// Hash of the device.
    device: u64,
    server_version: u64,
    client_version: u64,
}

impl FieldVersions {
    /// Notes that an edit of `author` with this `client_version` wrote `fields` and made
    /// `server_version`. Of more fields than a payload may have, those written longest ago are
    /// forgotten: to an edit on an older base they all count as written by others.
    pub fn note<'a>(
        &mut self,
        fields: impl IntoIterator<Item = &'a str>,
        author: &Author,
        server_version: u64,
        client_version: u64,
    ) {
        let device = device_hash(author);
        // Of two names with one hash the later counts.
        let mut noted: Vec<u32> = fields.into_iter().map(field_hash).collect();
        noted.reverse();
        let mut again = HashSet::with_capacity(noted.len());
        noted.retain(|field| again.insert(*field));
        self.writes.retain(|write| !again.contains(&write.field));
        let write = |field| Write {
            field,
            device,
            server_version,
            client_version,
        };
        self.writes.extend(noted.into_iter().rev().map(write));
        let excess = self.writes.len().saturating_sub(PAYLOAD_FIELDS_MAX);
        for forgotten in self.writes.drain(..excess) {
            self.floor = self.floor.max(forgotten.server_version);
        }
    }

    /// Notes that it is not known who wrote what up to `server_version`: the type did not merge by
    /// field then.
    pub fn forget(&mut self, server_version: u64) {
        *self = Self {
            floor: server_version,
            writes: Vec::new(),
        };
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an edit of `author`, made on `base`, may write `fields`: others wrote none of them
    /// since, and the device itself none with this `client_version` or a later one. The latter
    /// makes a forgotten edit that comes again a conflict, never a second application: had it been
    /// applied, it would stand here, or somebody who wrote over it.
    pub fn admit<'a>(
        &self,
        fields: impl IntoIterator<Item = &'a str>,
        author: &Author,
        base: u64,
        client_version: u64,
    ) -> bool {
        let device = device_hash(author);
        if base < self.floor {
            return false;
        }
        let mut fields = fields.into_iter().map(field_hash).peekable();
        if fields.peek().is_none() {
            return true;
        }
        let writes: HashMap<u32, &Write> = self
            .writes
            .iter()
            .map(|write| (write.field, write))
            .collect();
        fields.all(|field| match writes.get(&field) {
            None => true,
            Some(write) if write.device == device => client_version > write.client_version,
            Some(write) => write.server_version <= base,
        })
    }

    /// 28 bytes a field behind the floor, big-endian; nothing while nothing was written.
    pub fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut bytes = self.floor.to_be_bytes().to_vec();
        for write in &self.writes {
            bytes.extend(write.field.to_be_bytes());
            bytes.extend(
                [write.device, write.server_version, write.client_version]
                    .into_iter()
                    .flat_map(u64::to_be_bytes),
            );
        }
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes) back; `None` when the length fits no list of fields.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (floor, rest) = bytes.split_first_chunk()?;
        let writes = rest.chunks(28).map(|bytes| {
            let (field, bytes) = bytes.split_first_chunk()?;
            let (device, bytes) = bytes.split_first_chunk()?;
            let (server_version, bytes) = bytes.split_first_chunk()?;
            let client_version = bytes.try_into().ok()?;
            Some(Write {
                field: u32::from_be_bytes(*field),
                device: u64::from_be_bytes(*device),
                server_version: u64::from_be_bytes(*server_version),
                client_version: u64::from_be_bytes(client_version),
            })
        });
        Some(Self {
            floor: u64::from_be_bytes(*floor),
            writes: writes.collect::<Option<_>>()?,
        })
    }
}

impl Resource {
    /// Notes which fields the newest version `changed`, where the `policy` of the type merges by
    /// field; only then they are asked for. Where it does not, what was noted is worth nothing any
    /// more. A version that brings a resource back which `was_deleted` writes all fields.
    pub fn note_fields<N: AsRef<str>>(
        &mut self,
        policy: Option<Policy>,
        was_deleted: bool,
        changed: impl FnOnce(&Self) -> BTreeSet<N>,
        author: &Author,
        client_version: u64,
    ) {
        let version = self.server_version;
        if policy != Some(Policy::FieldMerge) {
            if !self.fields.is_empty() {
                self.fields.forget(version);
            }
            return;
        }
        if was_deleted && !self.deleted {
            self.fields.forget(version);
            return;
        }
        if self.fields.is_empty() && version > 2 {
            self.fields.forget(version - 1); // the type did not merge by field then
        }
        let changed = changed(self);
        self.fields.note(
            changed.iter().map(AsRef::as_ref),
            author,
            version,
            client_version,
        );
    }
}

/// The top-level fields in which two payloads differ.
pub fn changed_fields(before: &Json, after: &Json) -> BTreeSet<String> {
    let (before, after) = (
        json::fields(before).unwrap_or_default(),
        json::fields(after).unwrap_or_default(),
    );
    let differs = |name: &String| match (before.get(name), after.get(name)) {
        (Some(one), Some(other)) => !json::is_same(one, other),
        (None, None) => false,
        _ => true,
    };
    before
        .keys()
        .chain(after.keys())
        .filter(|name| differs(name))
        .cloned()
        .collect()
}

fn field_hash(field: &str) -> u32 {
    let digest = json::digest([field.as_bytes()]);
    u32::from_be_bytes(std::array::from_fn(|index| digest[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> Author {
        Author::device("ana", name)
    }

    #[test]
    fn only_what_others_wrote_since_the_base_overlaps() {
        let mut fields = FieldVersions::default();
        fields.note(["status"], &device("one"), 5, 4);
        let two = device("two");
        assert!(fields.admit(["note"], &two, 4, 4));
        assert!(fields.admit(["status"], &two, 5, 5));
        assert!(!fields.admit(["status", "note"], &two, 4, 4));
    }

    #[test]
    fn of_the_devices_own_edits_only_later_ones_are_admitted() {
        let mut fields = FieldVersions::default();
        fields.note(["status"], &device("one"), 5, 4);
        assert!(fields.admit(["status"], &device("one"), 3, 5));
        assert!(!fields.admit(["status"], &device("one"), 3, 4));
    }

    #[test]
    fn what_was_forgotten_counts_as_written_by_others() {
        let mut fields = FieldVersions::default();
        fields.note(["first"], &device("one"), 2, 1);
        let names: Vec<String> = (0..PAYLOAD_FIELDS_MAX)
            .map(|number| format!("field-{number}"))
            .collect();
        fields.note(names.iter().map(String::as_str), &device("one"), 3, 2);
        assert!(!fields.admit(["first"], &device("two"), 1, 1));
        assert!(fields.admit(["first"], &device("two"), 2, 2));
    }

    #[test]
    fn bytes_read_back() {
        let mut fields = FieldVersions::default();
        assert_eq!(
            FieldVersions::from_bytes(&fields.to_bytes()),
            Some(fields.clone())
        );
        fields.note(["a", "b"], &device("one"), 5, 4);
        assert_eq!(FieldVersions::from_bytes(&fields.to_bytes()), Some(fields));
        assert_eq!(FieldVersions::from_bytes(&[0; 7]), None);
        assert_eq!(FieldVersions::from_bytes(&[0; 20]), None);
    }
}
