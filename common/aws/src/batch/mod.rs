//! Load → decide → commit of a batch of edits, shared by push and replay: what the items name is read, `tidemark-core` decides, and the
//! decision is committed with conditional writes, as often as others are faster.

mod commit;
mod dry_run;
mod waves;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_core::{
    json::Json,
    media::Checked,
    protocol::push::ItemResult,
    push::{
        intake::{self, Group, Intake, Sender},
        media, references, refuse,
    },
    resource::ResourceKey,
};

use crate::{failure::Failure, platform::Platform, tables::resources::Loaded};
use waves::Waves;

/// Whether what is decided is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Apply,
    /// Nothing is: the answers say what would happen (§7).
    DryRun,
}

/// A batch whose items were read, with the rows and uploads they name.
#[derive(Debug)]
pub struct Batch {
    intake: Intake,
    loaded: Loaded,
    /// Resources that references may mean, and that exist.
    found: HashSet<ResourceKey>,
    media: HashMap<String, Checked>,
    /// Resources with creates that stand in a conflict.
    refused: HashSet<ResourceKey>,
}

impl Batch {
    /// Reads the items and what they name, in one round trip, and keeps the uploads they name, if `mode` is to write.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(platform: &Platform, sender: Sender<'_>, items: &[Json], mode: Mode) -> Result<Self, Failure> {
        let intake = intake::read(items, sender);
        let referred = references::keys_to_find(&intake.groups);
        // What a create makes is not read: the write fails where the row is there, and then it is read. Not so in a dry run, which writes
        // nothing, and in a replay, whose creates were sent before.
        let is_assumed = |group: &&Group| mode == Mode::Apply && !sender.is_replay && group.begins_with_create();
        let (assumed, read): (Vec<_>, Vec<_>) = intake.groups.iter().partition(is_assumed);
        let keys: HashSet<&ResourceKey> = read.into_iter().map(|group| &group.key).chain(referred).collect();
        let assumed = assumed.into_iter().map(|group| &group.key).filter(|key| !keys.contains(key)).cloned().collect();
        let uploads: Vec<String> = media::keys_to_check(&intake.groups, sender).into_iter().collect();
        let creates = refuse::creates_to_look_for(&intake.groups, sender);
        let ids = creates.iter().map(|(_, id)| id.clone()).collect();
        let (tables, tenant) = (&platform.tables, &sender.principal.tenant);
        let (loaded, standing, media) = tokio::join!(
            tables.resources.load(tenant, keys),
            tables.conflicts.exist(tenant, ids),
            check(platform, uploads, mode)
        );
        let (loaded, standing) = (Loaded { assumed, ..loaded? }, standing?);
        let refused = creates.into_iter().filter(|(_, id)| standing.contains(id)).map(|(key, _)| key).collect();
        let found = loaded.rows.keys().chain(&loaded.unreadable).cloned().collect();
        Ok(Self { intake, loaded, found, media, refused })
    }

    /// Decides every item that has no answer in `settled`, commits the decision, and adds the answers.
    ///
    /// # Errors
    /// An outage. What was applied stays applied; a retry finds it remembered.
    pub async fn decide(
        self,
        platform: &Platform,
        sender: Sender<'_>,
        settled: &mut BTreeMap<usize, ItemResult>,
        now: DateTime<Utc>,
        mode: Mode,
    ) -> Result<(), Failure> {
        let Self { intake, loaded, found, media, refused } = self;
        for refused in intake.refused {
            settled.entry(refused.index).or_insert(refused);
        }
        let waves = Waves { platform, sender, now, mode, found, media, refused };
        waves.run(intake.groups, loaded, settled).await
    }
}

/// What stands under these media keys; without a bucket, nobody knows.
async fn check(platform: &Platform, keys: Vec<String>, mode: Mode) -> HashMap<String, Checked> {
    match &platform.media {
        Some(media) if !keys.is_empty() => media.check(keys, mode).await,
        _ => HashMap::new(),
    }
}
