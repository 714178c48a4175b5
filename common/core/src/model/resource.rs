//! A stored resource (§2), with what it records about the edits applied to it (§3.4, §3.6).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::model::{
    catalog::Policy,
    channel::{Channel, Scope},
    field_versions::FieldVersions,
    json::Json,
    key,
    limits::{DEDUPLICATION_EDITS, HIGH_WATER_MARKS_MAX, RESOLUTIONS_MAX},
    principal::{Author, device_hash},
    resolution::ConflictResolution,
};

/// Identifies a resource within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// The channel of the resource; a resource never moves to another channel.
    pub channel: Channel,
    /// The type of the resource in the catalog.
    pub resource_type: String,
    /// The id of the resource, 1 to 256 bytes.
    pub id: String,
}

impl ResourceKey {
    /// Returns the sort key `type#id`.
    pub fn sort_key(&self) -> String {
        key::join([&self.resource_type, &self.id])
    }

    /// Parses a [`sort_key`](Self::sort_key) of `scope`.
    pub fn parse(scope: &Scope, sort_key: &str) -> Option<Self> {
        let [resource_type, id] = key::split(sort_key)?;
        Some(Self {
            channel: scope.channel.clone(),
            resource_type,
            id,
        })
    }
}

/// The location of a deleted resource's last payload, if its row does not contain it (§4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadLocation {
    /// The number under which the payload is stored.
    pub number: u64,
    /// The size of the payload in bytes.
    pub bytes: usize,
}

/// The stored state of a resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The payload without its `id`; for a deleted resource the last one, or `{}` if that is stored
    /// separately (`kept`) and was not loaded.
    pub payload: Json,
    /// For a deleted resource: the location of its last payload, if that is not in its row.
    pub kept: Option<PayloadLocation>,
    /// The server version: 1 after the create; grows by exactly one per accepted change.
    pub server_version: u64,
    /// Whether the row is a tombstone: it stays, so that no retry restores the resource (§4.9).
    pub deleted: bool,
    /// The time of the last change.
    pub changed_at: DateTime<Utc>,
    /// The last writer's run: its device and versions.
    pub run: Run,
    /// The create that made the resource.
    pub creation: Creation,
    /// The deduplication window: the most recently applied edits.
    pub edits: Edits,
    /// Per device, client versions that were ahead of the server's version.
    pub high_water_marks: HighWaterMarks,
    /// The most recently resolved conflicts about the resource, oldest first.
    pub resolutions: Vec<ConflictResolution>,
    /// The last writer of each field; recorded for types that merge by field.
    pub fields: FieldVersions,
}

impl Resource {
    /// Returns a resource that was just created.
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
            high_water_marks: HighWaterMarks::default(),
            resolutions: Vec::new(),
            fields: FieldVersions::default(),
        }
    }

    /// Records a resolved conflict. A repeated resolution of the same conflict replaces the earlier
    /// one, and the oldest resolutions above the bound are dropped.
    pub fn note_resolution(&mut self, resolved: ConflictResolution) {
        self.resolutions.retain(|earlier| earlier.id != resolved.id);
        self.resolutions.push(resolved);
        let excess = self.resolutions.len().saturating_sub(RESOLUTIONS_MAX);
        self.resolutions.drain(..excess);
    }
}

/// The newest versions of a resource that one device wrote without another writer in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The device that wrote the run.
    pub author: Author,
    /// The first version of the run.
    pub began: u64,
    /// The highest `client_version` applied in the run; a create counts as 0.
    pub client_version_max: u64,
    /// Whether pulls also deliver the run to its author (§4.6): it began after another writer's
    /// version with an edit without `base_version`, so the device may not have received the version
    /// that it changed.
    pub echo_to_author: bool,
}

/// The create that made a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// The device that sent the create.
    pub author: Author,
    /// The temp id that the create used.
    pub client_temp_id: Option<String>,
    /// Digest of the canonical payload of the create.
    pub digest: [u8; 16],
}

/// The identity of an edit: a hash of (device, client_version, action, canonical payload). The
/// resource is identified by the row that contains the edit id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EditId(pub u64);

/// An applied edit and the version that it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppliedEdit {
    /// The id of the edit.
    pub id: EditId,
    /// The `server_version` that the response reported.
    pub server_version: u64,
    /// Whether the edit was merged with changes of other writers (§5).
    pub is_merged: bool,
}

/// The bit of a stored version that marks a merged edit; versions never reach it.
const MERGED: u64 = 1 << 63;

/// The deduplication window: the last edits applied to a resource, oldest first. They are committed
/// in the same write as their effect, which makes retries idempotent after any crash. The module
/// `tidemark_app::push` lists all levels of deduplication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<AppliedEdit>);

impl Edits {
    /// Returns the recorded application of `id`. If the edit was applied more than once (a create
    /// that restored the resource, twice), returns the last application.
    pub fn find(&self, id: EditId) -> Option<AppliedEdit> {
        self.0.iter().rfind(|edit| edit.id == id).copied()
    }

    /// Moves a recorded edit to the newest end of the window, because it was repeated.
    pub fn renew(&mut self, id: EditId) {
        if let Some(at) = self.0.iter().rposition(|edit| edit.id == id) {
            let edit = self.0.remove(at);
            self.0.push(edit);
        }
    }

    /// Records an edit and drops the oldest edits above the bound. The `kept` newest edits before
    /// it are never dropped, so that a batch which edits one resource more often than the bound
    /// keeps all its own edits in the window, including repeated ones.
    pub fn record_edit(&mut self, edit: AppliedEdit, kept: usize) {
        self.0.push(edit);
        let bound = DEDUPLICATION_EDITS.max(kept + 1);
        let excess = self.0.len().saturating_sub(bound);
        self.0.drain(..excess);
    }

    /// Encodes 16 bytes for each edit: its id and its version, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let version =
            |edit: &AppliedEdit| edit.server_version | if edit.is_merged { MERGED } else { 0 };
        pairs_to_bytes(self.0.iter().map(|edit| [edit.id.0, version(edit)]))
    }

    /// Decodes [`to_bytes`](Self::to_bytes); returns `None` if the length does not match a list of
    /// edits.
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

/// Client-version high-water marks: per device, the highest `client_version` that was applied
/// without `base_version` while it was ahead of the version that it made. Such a number does not
/// show when the edit was made: an edit of the device at or below the mark that is outside the
/// deduplication window may be an old one and is never applied. The marks of the most recent
/// devices are kept.
///
/// If the policy is `client_wins` (§5), every applied edit is recorded, beginning with the create,
/// which distinguishes a new edit from a repeated one outside the deduplication window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HighWaterMarks(Vec<[u64; 2]>);

/// An entry in place of a device: every edit since the create was recorded.
const COMPLETE: u64 = 0;

impl HighWaterMarks {
    /// Returns the mark of `author`; 0 if it has none.
    pub fn of(&self, author: &Author) -> u64 {
        let device = device_hash(author);
        self.0
            .iter()
            .find(|[marked, _]| *marked == device)
            .map_or(0, |[_, version]| *version)
    }

    /// Raises the mark of `author` to `client_version`, and evicts the oldest mark above the bound.
    pub fn note(&mut self, author: &Author, client_version: u64) {
        let claimed = self.of(author).max(client_version);
        let device = device_hash(author);
        self.0.retain(|[marked, _]| *marked != device);
        self.0.push([device, claimed]);

        if self
            .0
            .iter()
            .filter(|[marked, _]| *marked != COMPLETE)
            .count()
            > HIGH_WATER_MARKS_MAX
        {
            let oldest = self.0.iter().position(|[marked, _]| *marked != COMPLETE);
            oldest.map(|oldest| self.0.remove(oldest));
            self.note_gap(); // the evicted device may send another edit
        }
    }

    /// Records that all edits will be recorded, beginning with the create.
    pub fn note_all_from_create(&mut self) {
        self.0 = vec![[COMPLETE, 0]];
    }

    /// Records that an edit was applied without being recorded.
    pub fn note_gap(&mut self) {
        self.0.retain(|[marked, _]| *marked != COMPLETE);
    }

    /// Returns whether an edit of `author` with this `client_version` was certainly not applied
    /// before: every edit was recorded, and its version is above the mark of the device.
    pub fn is_new(&self, author: &Author, client_version: u64) -> bool {
        let is_complete = self.0.iter().any(|[marked, _]| *marked == COMPLETE);
        let claimed = self
            .0
            .iter()
            .find(|[marked, _]| *marked == device_hash(author));
        is_complete && claimed.is_none_or(|[_, claimed]| client_version > *claimed)
    }

    /// Encodes 16 bytes for each mark: a hash of the device and the version, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        pairs_to_bytes(self.0.iter().copied())
    }

    /// Decodes [`to_bytes`](Self::to_bytes); returns `None` if the length does not match a list of
    /// marks.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        pairs_from_bytes(bytes).map(Self)
    }
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

impl Resource {
    /// Records which fields the newest version changed, if the `policy` of the type merges by
    /// field; `changed` is called only then. For any other policy the recorded writes become
    /// useless and are discarded. A version that restores a resource which `was_deleted` writes all
    /// fields.
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
                self.fields.discard(version);
            }
            return;
        }

        if was_deleted && !self.deleted {
            self.fields.discard(version);
            return;
        }

        if self.fields.is_empty() && version > 2 {
            self.fields.discard(version - 1); // the type did not merge by field at the time
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
    fn window_keeps_last_sixteen_edits() {
        let mut edits = Edits::default();
        (1..=17).for_each(|number| edits.record_edit(edit(number), 0));
        assert_eq!(
            (edits.find(EditId(1)), edits.find(EditId(2))),
            (None, Some(edit(2)))
        );
        assert_eq!(Edits::from_bytes(&edits.to_bytes()), Some(edits));
    }

    #[test]
    fn window_keeps_all_edits_of_batch() {
        let mut edits = Edits::default();
        (1..=50).for_each(|number| edits.record_edit(edit(number), number as usize - 1));
        assert_eq!(edits.find(EditId(1)), Some(edit(1)));
    }

    #[test]
    fn edit_is_new_only_if_all_recorded() {
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
            "the mark of the first device is evicted"
        );
    }

    #[test]
    fn bytes_of_wrong_length_are_rejected() {
        assert_eq!(Edits::from_bytes(&[0; 15]), None);
        assert_eq!(Edits::from_bytes(&[0; 24]), None);
    }
}
