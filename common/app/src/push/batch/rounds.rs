//! Processes a batch in rounds. A round is one pass of load, decide and commit over the groups that
//! can be decided concurrently. The [`Scheduler`] selects these groups and records the outcomes.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::result::ItemResult,
    rules::push::{edit::Sender, group::Group, media::MediaVerification},
};

use super::{rows::Rows, scheduler::Scheduler};
use crate::push::Mode;

/// The parameters that all rounds of a batch share.
pub(super) struct BatchRun<'a> {
    pub(super) context: &'a Context,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) mode: Mode,
    pub(super) media: MediaVerification,
}

impl BatchRun<'_> {
    /// Runs rounds until each item of the batch has a result in `results`.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row other
    /// than that of a resource or a conflict cannot be decoded. Applied edits stay applied.
    pub(super) async fn run(
        &self,
        mut scheduler: Scheduler<'_>,
        mut rows: Rows,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(), Error> {
        // The unique values that a dry run has freed.
        let mut freed = HashSet::new();

        while let Some(groups) = self.next_round(&mut scheduler, &mut rows, results).await? {
            let round = Box::pin(self.decide(groups, &mut scheduler, &mut rows, results)).await?;

            let outcomes = match self.mode {
                Mode::Apply => Box::pin(self.commit(&round)).await?,
                Mode::DryRun => {
                    self.simulate(&round, &mut scheduler.holders, &mut freed)
                        .await?
                }
            };

            scheduler.apply_outcomes(round, outcomes, &mut rows, results);
        }
        Ok(())
    }

    /// Returns the groups of the next round, or `None` if every item has a result. Waits if other
    /// writers caused the last attempts to fail, and reads the rows that are not cached.
    async fn next_round(
        &self,
        scheduler: &mut Scheduler<'_>,
        rows: &mut Rows,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Option<Vec<Group>>, Error> {
        if let Some(attempt) = scheduler.backoff() {
            let backoff = self.context.random.concurrent_update_backoff(attempt);
            tokio::time::sleep(backoff).await;
        }

        let (tables, tenant) = (&self.context.tables, &self.sender.principal.tenant);
        let keys = scheduler.ready_keys(results);
        rows.read(&tables.resources, tenant, keys).await?;
        Ok(scheduler.next_round(rows, results))
    }
}
