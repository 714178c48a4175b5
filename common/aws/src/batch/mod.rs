//! Load → decide → commit of a batch of edits, shared by push and replay: what the items name is
//! read, `tidemark-core` decides, and the decision is committed with conditional writes, as often
//! as others are faster.

mod commit;
mod dry_run;
mod media;
mod rounds;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_core::{
    conflict::ConflictSummary,
    json::Json,
    protocol::push::ItemResult,
    push::{
        intake::{self, Group, Intake, Sender},
        references::{self, Create, EarlierCreates},
        reject,
    },
    resource::ResourceKey,
};

use crate::{context::Context, failure::Failure, tables::resources::LoadedRows};
use rounds::Rounds;
use rows::Rows;

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
    loaded: LoadedRows,
    /// Creates of earlier batches that references may mean.
    earlier: EarlierCreates,
    /// Resources with creates that stand in a conflict.
    rejected: HashSet<ResourceKey>,
}

impl Batch {
    /// Reads the items and the rows they name, in one round trip.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(
        context: &Context,
        sender: Sender<'_>,
        items: &[Json],
        mode: Mode,
    ) -> Result<Self, Failure> {
        let intake = intake::read(items, sender);
        let referred: HashSet<&ResourceKey> = references::to_earlier_batches(&intake.groups)
            .flat_map(|reference| &reference.earlier)
            .collect();
        let temp_ids = references::to_earlier_batches(&intake.groups)
            .map(|reference| &reference.temp_id)
            .collect();
        let mut strongly = referred.clone();
        // What is written on the condition that the row is as it was read needs no strong read, and
        // what a create makes is not read at all: the write fails where the row is other, and then
        // it is read. Not so in a dry run, which writes nothing, and in a replay, whose items were
        // sent before.
        let is_proven_by_write = mode == Mode::Apply && !sender.is_replay;
        let (optimistic, certain): (Vec<&Group>, Vec<&Group>) = intake
            .groups
            .iter()
            .partition(|group| is_proven_by_write && !strongly.contains(&group.key));
        let (created, changed): (Vec<&Group>, Vec<&Group>) = optimistic
            .into_iter()
            .partition(|group| group.begins_with_create());
        strongly.extend(certain.into_iter().map(|group| &group.key));
        let changed = changed.into_iter().map(|group| &group.key).collect();
        let creates = reject::creates_to_look_for(&intake.groups, sender);
        let others = referred
            .iter()
            .filter(|key| creates.iter().all(|(create, _)| create != *key));
        let wanted: Vec<_> = creates
            .iter()
            .cloned()
            .chain(others.map(|key| (*key, Vec::new())))
            .collect();
        let (tables, tenant) = (&context.tables, &sender.principal.tenant);
        let (loaded, maybe, standing, failed) = tokio::join!(
            tables.resources.load(tenant, strongly),
            tables.resources.load_optimistic(tenant, &changed),
            tables.conflicts.of_device(sender, &wanted),
            tables.sync_batches.failed_creates(sender, &temp_ids)
        );
        let (mut loaded, maybe, standing, failed) = (loaded?, maybe?, standing?.standing, failed?);
        let rejected = creates
            .iter()
            .map(|(key, _)| *key)
            .filter(|key| has_rejected_create(&standing, key))
            .cloned()
            .collect();
        let made: HashSet<ResourceKey> = loaded
            .rows
            .keys()
            .chain(&loaded.unreadable)
            .cloned()
            .collect();
        let unmade = referred
            .iter()
            .filter(|key| !made.contains(**key) && has_rejected_create(&standing, key))
            .map(|key| {
                (
                    (*key).clone(),
                    standing[*key].iter().any(ConflictSummary::is_open_create),
                )
            })
            .collect();
        let earlier = EarlierCreates {
            made,
            rejected: unmade,
            failed,
        };
        loaded.rows.extend(maybe.rows);
        loaded.unreadable.extend(maybe.unreadable);
        loaded.optimistic.extend(maybe.optimistic);
        loaded
            .optimistic
            .extend(created.into_iter().map(|group| group.key.clone()));
        Ok(Self {
            intake,
            loaded,
            earlier,
            rejected,
        })
    }

    /// The resource that each item is about, by the item's index. An item that names none, or none
    /// that the caller may use, has none.
    pub fn keys(&self) -> BTreeMap<usize, ResourceKey> {
        let keys = self
            .intake
            .groups
            .iter()
            .flat_map(|group| group.indexes().map(|index| (index, group.key.clone())));
        keys.collect()
    }

    /// Takes the creates of the batch that have a temp id.
    pub fn take_creates(&mut self) -> Vec<Create> {
        std::mem::take(&mut self.intake.creates)
    }

    /// Decides every item that has no answer in `settled`, commits the decision, and adds the
    /// answers. The uploads that these items name are verified first, and kept if `mode` is to
    /// write.
    ///
    /// # Errors
    /// An outage. What was applied stays applied; a retry finds it remembered.
    pub async fn decide(
        self,
        context: &Context,
        sender: Sender<'_>,
        settled: &mut BTreeMap<usize, ItemResult>,
        now: DateTime<Utc>,
        mode: Mode,
    ) -> Result<(), Failure> {
        let Self {
            intake,
            loaded,
            earlier,
            rejected,
        } = self;
        for rejected in intake.rejected {
            settled.entry(rejected.index).or_insert(rejected);
        }
        let media =
            media::verify(context, sender, &intake.groups, &loaded.rows, settled, mode).await?;
        let rounds = Rounds {
            context,
            sender,
            now,
            mode,
            earlier,
            media,
        };
        let known = intake
            .groups
            .iter()
            .map(|group| group.key.clone())
            .collect();
        // Boxed, as the other large futures of a push.
        Box::pin(rounds.run(intake.groups, Rows::new(loaded, known), rejected, settled)).await
    }
}

/// Whether a create of this resource is part of a conflict of the device.
fn has_rejected_create(
    standing: &HashMap<ResourceKey, Vec<ConflictSummary>>,
    key: &ResourceKey,
) -> bool {
    standing
        .get(key)
        .is_some_and(|conflicts| conflicts.iter().any(|conflict| conflict.opened_by_create))
}
