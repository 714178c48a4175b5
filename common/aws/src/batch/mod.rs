//! Load → decide → commit of a batch of edits, shared by push and replay: what the items name is read, `tidemark-core` decides, and the
//! decision is committed with conditional writes, as often as others are faster.

mod commit;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tidemark_core::{
    json::Json,
    protocol::push::ItemResult,
    push::intake::{self, Intake, Sender},
};

use crate::{failure::Failure, platform::Platform, tables::resources::Loaded};

/// Whether what is decided is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Apply,
    /// Nothing is: the answers say what would happen (§7).
    DryRun,
}

/// A batch whose items were read, with the rows they name.
#[derive(Debug)]
pub struct Batch {
    intake: Intake,
    loaded: Loaded,
}

impl Batch {
    /// Reads the items and what they name, in one round trip.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(platform: &Platform, sender: Sender<'_>, items: &[Json]) -> Result<Self, Failure> {
        let intake = intake::read(items, sender);
        let keys: Vec<_> = intake.groups.iter().map(|group| group.key.clone()).collect();
        let loaded = platform.tables.resources.load(&sender.principal.tenant, &keys).await?;
        Ok(Self { intake, loaded })
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
        _mode: Mode,
    ) -> Result<(), Failure> {
        let groups = self.intake.groups.into_iter().filter(|group| group.indexes().any(|index| !settled.contains_key(&index)));
        let decided = commit::commit(platform, sender, groups.collect(), self.loaded, now).await?;
        for result in decided.into_iter().chain(self.intake.refused) {
            settled.entry(result.index).or_insert(result);
        }
        Ok(())
    }
}
