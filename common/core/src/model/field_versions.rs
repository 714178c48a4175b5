//! The last writer of each top-level field (§5, `field_merge`), which determines whether an edit
//! overlaps with what other devices wrote since its base. Stored in the rows of types that merge by
//! field, for the fields that changed after the create.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::{
    json::{self, Json},
    limits::PAYLOAD_FIELDS_MAX,
    principal::{Author, device_hash},
};

/// The last write of each field of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldVersions {
    /// The truncation point: writes at or below this version are no longer known.
    floor: u64,
    writes: Vec<Write>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Write {
    /// Hash of the field's name. Two names with the same hash count as overlapping, which causes an
    /// unnecessary conflict but loses no data.
    field: u32,
    /// Hash of the device that wrote the field.
    device: u64,
    server_version: u64,
    client_version: u64,
}

impl FieldVersions {
    /// Records that an edit of `author` with this `client_version` wrote `fields` and made
    /// `server_version`. At most [`PAYLOAD_FIELDS_MAX`] fields are kept; the least recently written
    /// ones are evicted, and an edit on an older base then treats them as written by other devices.
    pub fn note<'a>(
        &mut self,
        fields: impl IntoIterator<Item = &'a str>,
        author: &Author,
        server_version: u64,
        client_version: u64,
    ) {
        let device = device_hash(author);
        // If two names have the same hash, the later one counts.
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
        for evicted in self.writes.drain(..excess) {
            self.floor = self.floor.max(evicted.server_version);
        }
    }

    /// Discards the writes up to `server_version`, whose authors are unknown because the type did
    /// not merge by field at the time.
    pub fn discard(&mut self, server_version: u64) {
        *self = Self {
            floor: server_version,
            writes: Vec::new(),
        };
    }

    /// Returns whether no write is recorded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether an edit of `author`, made on `base`, may write `fields`: no other device
    /// wrote any of them since, and the device itself wrote none with this `client_version` or a
    /// later one. The second condition turns a repeated edit outside the deduplication window into
    /// a conflict instead of applying it twice: if it had been applied, it would be recorded here,
    /// or another device would have overwritten it.
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

    /// Encodes the truncation point and 28 bytes for each field, big-endian; empty if no write was
    /// recorded.
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

    /// Decodes [`to_bytes`](Self::to_bytes); returns `None` if the length does not match a list of
    /// fields.
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

/// Returns the top-level fields in which two payloads differ.
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
mod tests;
