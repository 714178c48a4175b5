//! Load → decide → commit of a batch of edits, shared by push and replay. The referenced rows are
//! read, `tidemark-core` decides, and conditional writes commit the decision. A failed condition
//! repeats the cycle.

mod commit;
mod decide;
mod dry_run;
mod load;
mod media;
mod results;
mod rounds;
mod rows;
mod scheduler;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error, media::Media, tables::resources::LoadedRows};
use tidemark_core::{
    model::{json::Json, resource::ResourceKey, result::ItemResult},
    rules::push::{
        edit::{Create, Sender},
        intake::{self, Intake},
        references::EarlierCreates,
    },
    wire::push::read_item,
};

use self::{
    load::BatchReads, results::record_results, rounds::BatchRun, rows::Rows, scheduler::Scheduler,
};
use crate::push::Mode;

/// The parsed items of a batch, with the rows of their resources and of their references.
#[derive(Debug)]
pub struct Batch {
    intake: Intake,
    loaded: LoadedRows,
    /// The creates of earlier batches to which references may point.
    earlier: EarlierCreates,
    /// The resources with creates that are part of a conflict.
    conflicting_creates: HashSet<ResourceKey>,
}

impl Batch {
    /// Parses the items, and reads the rows of their resources and of their references in one
    /// round trip.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row other
    /// than that of a resource or a conflict cannot be decoded.
    pub async fn load(
        context: &Context,
        sender: Sender<'_>,
        items: &[Json],
        mode: Mode,
    ) -> Result<Self, Error> {
        Self::load_part(context, sender, items, |_| true, mode).await
    }

    /// Parses the items like [`Self::load`], and keeps those whose index `is_selected`. The others
    /// must have a result when the batch is decided: they are not decided, and the selected items
    /// may refer to their creates.
    ///
    /// # Errors
    /// Returns the errors of [`Self::load`].
    pub async fn load_part(
        context: &Context,
        sender: Sender<'_>,
        items: &[Json],
        is_selected: impl Fn(usize) -> bool,
        mode: Mode,
    ) -> Result<Self, Error> {
        let mut intake = intake::read(items.iter().map(|item| read_item(item)), sender);
        select(&mut intake, is_selected);
        let reads = BatchReads::of(&intake.groups, sender, mode);

        let (tables, tenant) = (&context.tables, &sender.principal.tenant);
        let (certain, possibly_stale, conflicts, failed) = tokio::join!(
            tables.resources.load(tenant, reads.certain.iter().copied()),
            tables.resources.load_optimistic(tenant, &reads.optimistic),
            tables.conflicts.of_device(sender, &reads.conflicts),
            tables.sync_batches.failed_creates(sender, &reads.temp_ids)
        );
        let (certain, possibly_stale, conflicts, failed) =
            (certain?, possibly_stale?, conflicts?, failed?);

        let conflicting_creates = reads.conflicting_creates(&conflicts);
        let earlier = reads.earlier_creates(&certain, &conflicts, failed);
        let loaded = reads.merge(certain, possibly_stale);
        Ok(Self {
            intake,
            loaded,
            earlier,
            conflicting_creates,
        })
    }

    /// Returns the resource of each item by the item's index. Omits items without a valid resource
    /// and items about a resource that the caller may not access.
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

    /// Decides every item that has no result in `results`, commits the decisions, and adds the
    /// results. First verifies the uploads that these items reference, and keeps them if `mode` is
    /// [`Mode::Apply`].
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row other
    /// than that of a resource or a conflict cannot be decoded. Applied edits stay applied; a retry
    /// finds them in the deduplication window.
    pub async fn decide(
        self,
        context: &Context,
        media: &Media,
        sender: Sender<'_>,
        results: &mut BTreeMap<usize, ItemResult>,
        now: DateTime<Utc>,
        mode: Mode,
    ) -> Result<(), Error> {
        let Self {
            intake,
            loaded,
            earlier,
            conflicting_creates,
        } = self;
        record_results(results, intake.rejected.into_iter());

        let groups = intake.groups;
        let media =
            media::verify(context, media, sender, &groups, &loaded.rows, results, mode).await?;
        let run = BatchRun {
            context,
            sender,
            now,
            mode,
            media,
        };

        let known = groups.iter().map(|group| group.key.clone()).collect();
        let rows = Rows::new(loaded, known, conflicting_creates, mode);
        let scheduler = Scheduler::new(groups, earlier, sender, results);
        // Boxed to reduce the nesting depth of futures, which the compiler limits.
        Box::pin(run.run(scheduler, rows, results)).await
    }
}

/// Removes the items whose index is not selected, and the groups that have no other items.
fn select(intake: &mut Intake, is_selected: impl Fn(usize) -> bool) {
    for group in &mut intake.groups {
        group.items.retain(|item| is_selected(item.index()));
    }
    intake.groups.retain(|group| !group.items.is_empty());
    intake.rejected.retain(|result| is_selected(result.index));
}
