//! A resource as it is stored (§2), with what it remembers of the edits applied to it (§3.4, §3.6).

use chrono::{DateTime, Utc};

use crate::{
    channel::{Channel, Scope},
    conflict::ConflictResolution,
    field_versions::FieldVersions,
    json::{self, Json},
    key,
    limits::{DEDUPLICATION_EDITS, HIGH_WATER_MARKS_MAX, RESOLUTIONS_MAX},
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
        Some(Self {
            channel: scope.channel.clone(),
            resource_type,
            id,
        })
    }
}

/// Where the last payload of a deleted resource is kept, if its row does not hold it (§4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadLocation {
    /// The number that it is kept under.
    pub number: u64,
    /// Its bytes.
    pub bytes: usize,
}

/// A stored resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The payload without its `id`; of a deleted resource the last one, or `{}` where that is
    /// `kept` apart and was not looked up.
    pub payload: Json,
    /// Of a deleted resource: where its last payload is kept, if not in its row.
    pub kept: Option<PayloadLocation>,
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
    pub claims: HighWaterMarks,
    /// Conflicts about it that were decided last, oldest first.
    pub resolutions: Vec<ConflictResolution>,
    /// Who wrote which field last; kept for types that merge by field.
    pub fields: FieldVersions,
}

impl Resource {
    /// A resource that was just created.
    pub fn new(payload: Json, now: DateTime<Utc>, run: Run, creation: Creation) -> Self {
        Self {
            payload,
            kept: None,
            server_version: 1,
            deleted: false,
            changed_at: now,
            run,
            creation,
            edits: Edits::default(),
            claims: HighWaterMarks::default(),
            resolutions: Vec::new(),
            fields: FieldVersions::default(),
        }
    }

    /// Notes a conflict that was decided; the oldest beyond the bound is forgotten, and of one
    /// conflict the last decision counts.
    pub fn note_resolution(&mut self, resolved: ConflictResolution) {
        self.resolutions.retain(|earlier| earlier.id != resolved.id);
        self.resolutions.push(resolved);
        let excess = self.resolutions.len().saturating_sub(RESOLUTIONS_MAX);
        self.resolutions.drain(..excess);
    }
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
    /// It began on somebody else's version with an edit that did not say what the device had
    /// received (no `base_version`). The device may not have seen what it wrote on, so its pulls
    /// deliver the run like anybody else's (§4.6).
    pub is_optimistic: bool,
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

/// Identity of an edit: a hash of (device, client_version, action, canonical payload); the resource
/// is the row it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EditId(pub u64);

/// An applied edit, and the version it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppliedEdit {
    /// Which edit.
    pub id: EditId,
    /// The `server_version` it was answered with.
    pub server_version: u64,
    /// It was merged with what others wrote (§5).
    pub is_merged: bool,
}

/// In stored bytes, the bit of the version that says the edit was merged; versions never get there.
const MERGED: u64 = 1 << 63;

/// The last edits applied to a resource, oldest first. They commit in the same write as their
/// effect, which is what makes a retry harmless after any crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<AppliedEdit>);

impl Edits {
    /// What is remembered of `id`; if it was applied more than once (a create that brought a
    /// resource back, twice), of the last time.
    pub fn find(&self, id: EditId) -> Option<AppliedEdit> {
        self.0.iter().rfind(|edit| edit.id == id).copied()
    }

    /// Counts an edit that is remembered as the newest, because it came again.
    pub fn renew(&mut self, id: EditId) {
        if let Some(at) = self.0.iter().rposition(|edit| edit.id == id) {
            let edit = self.0.remove(at);
            self.0.push(edit);
        }
    }

    /// Remembers one more, and forgets the oldest beyond the bound; none of the `kept` newest
    /// before it is forgotten, so that a batch which edits one resource more often than the bound
    /// remembers all its own edits, those it repeats included.
    pub fn record_edit(&mut self, edit: AppliedEdit, kept: usize) {
        self.0.push(edit);
        let bound = DEDUPLICATION_EDITS.max(kept + 1);
        let excess = self.0.len().saturating_sub(bound);
        self.0.drain(..excess);
    }

    /// 16 bytes an edit: its hash and its version, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let version =
            |edit: &AppliedEdit| edit.server_version | if edit.is_merged { MERGED } else { 0 };
        pairs_to_bytes(self.0.iter().map(|edit| [edit.id.0, version(edit)]))
    }

    /// Reads [`to_bytes`](Self::to_bytes) back; `None` when the length fits no list of edits.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let edits = pairs_from_bytes(bytes)?.into_iter();
        let edit = |[id, version]: [u64; 2]| AppliedEdit {
            id: EditId(id),
            server_version: version & !MERGED,
            is_merged: version & MERGED != 0,
        };
        Some(Self(edits.map(edit).collect()))
    }
}

/// The highest `client_version` of each device that was applied without `base_version` while it was
/// ahead of the version it made. Such a number says nothing of when the edit was made: an edit of
/// the device at or below it that is not remembered may be an old one, and is never applied. The
/// last few devices that claimed are remembered.
///
/// Where the client wins (§5), every applied edit is noted, from the create on: it is what tells a
/// new edit from a forgotten one that comes again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HighWaterMarks(Vec<[u64; 2]>);

/// In place of a device: every edit since the create was noted.
const COMPLETE: u64 = 0;

impl HighWaterMarks {
    /// What `author` claimed; 0 for nothing.
    pub fn of(&self, author: &Author) -> u64 {
        let device = device_hash(author);
        self.0
            .iter()
            .find(|[claimant, _]| *claimant == device)
            .map_or(0, |[_, version]| *version)
    }

    /// Notes that `author` claimed `client_version`.
    pub fn note(&mut self, author: &Author, client_version: u64) {
        let claimed = self.of(author).max(client_version);
        let device = device_hash(author);
        self.0.retain(|[claimant, _]| *claimant != device);
        self.0.push([device, claimed]);
        if self
            .0
            .iter()
            .filter(|[claimant, _]| *claimant != COMPLETE)
            .count()
            > HIGH_WATER_MARKS_MAX
        {
            let oldest = self
                .0
                .iter()
                .position(|[claimant, _]| *claimant != COMPLETE);
            oldest.map(|oldest| self.0.remove(oldest));
            self.note_gap(); // the forgotten device may come again
        }
    }

    /// Says that every edit will be noted, beginning with the create.
    pub fn note_all_from_create(&mut self) {
        self.0 = vec![[COMPLETE, 0]];
    }

    /// Says that an edit was applied and is not noted.
    pub fn note_gap(&mut self) {
        self.0.retain(|[claimant, _]| *claimant != COMPLETE);
    }

    /// Whether an edit of `author` with this `client_version` certainly was not applied before:
    /// every edit was noted, and this one is later than any of that device's.
    pub fn is_new(&self, author: &Author, client_version: u64) -> bool {
        let is_complete = self.0.iter().any(|[claimant, _]| *claimant == COMPLETE);
        let claimed = self
            .0
            .iter()
            .find(|[claimant, _]| *claimant == device_hash(author));
        is_complete && claimed.is_none_or(|[_, claimed]| client_version > *claimed)
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
    let digest = json::digest([author.as_str().as_bytes()]);
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
        AppliedEdit {
            id: EditId(number),
            server_version: number,
            is_merged: number.is_multiple_of(2),
        }
    }

    #[test]
    fn the_last_sixteen_edits_are_remembered() {
        let mut edits = Edits::default();
        (1..=17).for_each(|number| edits.record_edit(edit(number), 0));
        assert_eq!(
            (edits.find(EditId(1)), edits.find(EditId(2))),
            (None, Some(edit(2)))
        );
        assert_eq!(Edits::from_bytes(&edits.to_bytes()), Some(edits));
    }

    #[test]
    fn a_batch_remembers_all_its_own_edits() {
        let mut edits = Edits::default();
        (1..=50).for_each(|number| edits.record_edit(edit(number), number as usize - 1));
        assert_eq!(edits.find(EditId(1)), Some(edit(1)));
    }

    #[test]
    fn an_edit_is_new_only_where_every_edit_was_noted() {
        let device = |number: usize| Author::device("ana", &number.to_string());
        let mut claims = HighWaterMarks::default();
        assert!(!claims.is_new(&device(1), 9));
        claims.note_all_from_create();
        claims.note(&device(1), 3);
        assert!(claims.is_new(&device(1), 4) && claims.is_new(&device(2), 1));
        assert!(!claims.is_new(&device(1), 3));
        (2..=HIGH_WATER_MARKS_MAX + 1).for_each(|number| claims.note(&device(number), 1));
        assert!(
            !claims.is_new(&device(1), 3) && !claims.is_new(&device(99), 9),
            "the first device is forgotten"
        );
    }

    #[test]
    fn bytes_of_no_list_are_refused() {
        assert_eq!(Edits::from_bytes(&[0; 15]), None);
        assert_eq!(Edits::from_bytes(&[0; 24]), None);
    }
}
