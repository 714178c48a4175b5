//! Load → decide → commit of a batch of edits, shared by push and replay. The referenced rows are
//! read, `tidemark-core` decides, and conditional writes commit the decision. A failed condition
//! repeats the cycle.

mod commit;
mod decide;
mod dry_run;
mod load;
mod media;
mod rounds;
mod rows;

use std::collections::{BTreeMap, HashSet};

use crate::push::Mode;
use chrono::{DateTime, Utc};
use tidemark_core::{
    model::{json::Json, resource::ResourceKey},
    rules::push::{
        intake::{self, Intake, Sender},
        references::{Create, EarlierCreates},
    },
    wire::push::ItemResult,
};

use load::BatchReads;
use rounds::BatchRun;
use rows::Rows;
use tidemark_aws::{context::Context, error::Error, tables::resources::LoadedRows};

/// The parsed items of a batch, with the rows that they reference.
#[derive(Debug)]
pub struct Batch {
    intake: Intake,
    loaded: LoadedRows,
    /// The creates of earlier batches to which references may point.
    earlier: EarlierCreates,
    /// The resources with creates that are part of a conflict.
    rejected: HashSet<ResourceKey>,
}

impl Batch {
    /// Parses the items and reads the rows that they reference, in one round trip.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn load(
        context: &Context,
        sender: Sender<'_>,
        items: &[Json],
        mode: Mode,
    ) -> Result<Self, Error> {
        let intake = intake::read(items, sender);
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

        let rejected = reads.rejected(&conflicts);
        let earlier = reads.earlier_creates(&certain, &conflicts, failed);
        let loaded = reads.merge(certain, possibly_stale);
        Ok(Self {
            intake,
            loaded,
            earlier,
            rejected,
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
    /// Returns `Error::Unavailable` if DynamoDB is unavailable. Applied edits stay applied; a retry
    /// finds them in the deduplication window.
    pub async fn decide(
        self,
        context: &Context,
        sender: Sender<'_>,
        results: &mut BTreeMap<usize, ItemResult>,
        now: DateTime<Utc>,
        mode: Mode,
    ) -> Result<(), Error> {
        let Self {
            intake,
            loaded,
            earlier,
            rejected,
        } = self;

        for rejected in intake.rejected {
            results.entry(rejected.index).or_insert(rejected);
        }

        let media =
            media::verify(context, sender, &intake.groups, &loaded.rows, results, mode).await?;
        let rounds = BatchRun {
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
        // Boxed like the other large futures of a push.
        Box::pin(rounds.run(intake.groups, Rows::new(loaded, known), rejected, results)).await
    }
}
