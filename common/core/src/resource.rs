//! A resource as it is stored (§2), with what it remembers of the edits applied to it (§3.4, §3.6).

use chrono::{DateTime, Utc};

use crate::{
    channel::{Channel, Scope},
    conflict::Resolved,
    field_versions::FieldVersions,
    json::{self, Json},
    key,
    limits::{CLAIMS_REMEMBERED, EDITS_REMEMBERED},
    principal::Author,
};

/// Which resource, within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// Where it lives; a resource never moves.
    pub channel: Channel,
    /// Its type in the catalog.
    pub resource_type: String,
    /// Its id, 1 to 256 bytes.
    pub id: String,
}

impl ResourceKey {
    /// The sort key `type#id`.
    pub fn sort_key(&self) -> String {
        key::join([&self.resource_type, &self.id])
    }

    /// Reads a [`sort_key`](Self::sort_key) of `scope` back.
    pub fn parse(scope: &Scope, sort_key: &str) -> Option<Self> {
        let [resource_type, id] = key::split(sort_key)?;
        Some(Self { channel: scope.channel.clone(), resource_type, id })
    }
}

/// A stored resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The payload without its `id`; of a deleted resource the last one.
    pub payload: Json,
    /// 1 at first; grows by exactly one per accepted change.
    pub server_version: u64,
    /// A tombstone: the row stays, so that no retry can bring the resource back (§4.9).
    pub deleted: bool,
    /// When it changed last.
    pub changed_at: DateTime<Utc>,
    /// Who wrote the latest versions.
    pub run: Run,
    /// Who created it.
    pub creation: Creation,
    /// The edits applied last.
    pub edits: Edits,
    /// Client versions far ahead of the server's, by device.
    pub claims: Claims,
    /// Conflicts about it that were decided last, oldest first.
    pub resolutions: Vec<Resolved>,
    /// Who wrote which field last; kept for types that merge by field.
    pub fields: FieldVersions,
}

/// The newest versions of a resource that one device wrote without anyone between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Whose.
    pub author: Author,
    /// First version of the run.
    pub began: u64,
    /// Highest `client_version` applied in it; a create counts as 0.
    pub client_version_max: u64,
    /// It began on somebody else's version with an edit that did not say what the device had received (no `base_version`). The device
    /// may not have seen what it wrote on, so its pulls deliver the run like anybody else's (§4.6).
    pub is_unproven: bool,
}

/// The create that made a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// Which device sent it.
    pub author: Author,
    /// Under which temp id.
    pub client_temp_id: Option<String>,
    /// Digest of its canonical payload.
    pub digest: [u8; 16],
}

/// Identity of an edit: a hash of (device, client_version, action, canonical payload); the resource is the row it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EditId(pub u64);

/// An applied edit, and the version it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppliedEdit {
    /// Which edit.
    pub id: EditId,
    /// The `server_version` it was answered with.
    pub server_version: u64,
}

/// The last edits applied to a resource, oldest first. They commit in the same write as their effect, which is what makes
/// a retry harmless after any crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<AppliedEdit>);

impl Edits {
    /// The version `id` made, if it is remembered.
    pub fn version_of(&self, id: EditId) -> Option<u64> {
        self.0.iter().find(|edit| edit.id == id).map(|edit| edit.server_version)
    }

    /// Remembers one more, and forgets the oldest beyond the bound; none of the `kept` newest before it is forgotten, so that
    /// a batch which edits one resource more often than the bound remembers all its own edits.
    pub fn remember(&mut self, edit: AppliedEdit, kept: usize) {
        self.0.push(edit);
        let bound = EDITS_REMEMBERED.max(kept + 1);
        let excess = self.0.len().saturating_sub(bound);
        self.0.drain(..excess);
    }

    /// 16 bytes an edit: its hash and its version, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        pairs_to_bytes(self.0.iter().map(|edit| [edit.id.0, edit.server_version]))
    }

    /// Reads [`to_bytes`](Self::to_bytes) back; `None` when the length fits no list of edits.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let edits = pairs_from_bytes(bytes)?.into_iter();
        Some(Self(edits.map(|[id, server_version]| AppliedEdit { id: EditId(id), server_version }).collect()))
    }
}

/// The highest `client_version` of each device that was applied without `base_version` while it was ahead of the version it made.
/// Such a number says nothing of when the edit was made: an edit of the device at or below it that is not remembered may be an
/// old one, and is never applied. The last few devices that claimed are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims(Vec<[u64; 2]>);

impl Claims {
    /// What `author` claimed; 0 for nothing.
    pub fn of(&self, author: &Author) -> u64 {
        let device = device_hash(author);
        self.0.iter().find(|[claimant, _]| *claimant == device).map_or(0, |[_, version]| *version)
    }

    /// Notes that `author` claimed `client_version`.
    pub fn note(&mut self, author: &Author, client_version: u64) {
        let claimed = self.of(author).max(client_version);
        let device = device_hash(author);
        self.0.retain(|[claimant, _]| *claimant != device);
        self.0.push([device, claimed]);
        let excess = self.0.len().saturating_sub(CLAIMS_REMEMBERED);
        self.0.drain(..excess);
    }

    /// 16 bytes a claim: a hash of the device and the version, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        pairs_to_bytes(self.0.iter().copied())
    }

    /// Reads [`to_bytes`](Self::to_bytes) back; `None` when the length fits no list of claims.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        pairs_from_bytes(bytes).map(Self)
    }
}

pub(crate) fn device_hash(author: &Author) -> u64 {
    let digest = json::digest(&[author.as_str().as_bytes()]);
    u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
}

fn pairs_to_bytes(pairs: impl Iterator<Item = [u64; 2]>) -> Vec<u8> {
    pairs.flatten().flat_map(u64::to_be_bytes).collect()
}

fn pairs_from_bytes(bytes: &[u8]) -> Option<Vec<[u64; 2]>> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    let pairs = bytes.chunks(16).map(|pair| {
        let (first, second) = pair.split_at_checked(8)?;
        Some([number(first)?, number(second)?])
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(number: u64) -> AppliedEdit {
        AppliedEdit { id: EditId(number), server_version: number }
    }

    #[test]
    fn the_last_sixteen_edits_are_remembered() {
        let mut edits = Edits::default();
        (1..=17).for_each(|number| edits.remember(edit(number), 0));
        assert_eq!((edits.version_of(EditId(1)), edits.version_of(EditId(2))), (None, Some(2)));
        assert_eq!(Edits::from_bytes(&edits.to_bytes()), Some(edits));
    }

    #[test]
    fn a_batch_remembers_all_its_own_edits() {
        let mut edits = Edits::default();
        (1..=50).for_each(|number| edits.remember(edit(number), number as usize - 1));
        assert_eq!(edits.version_of(EditId(1)), Some(1));
    }

    #[test]
    fn bytes_of_no_list_are_refused() {
        assert_eq!(Edits::from_bytes(&[0; 15]), None);
        assert_eq!(Edits::from_bytes(&[0; 24]), None);
    }
}
