//! Stores the conflicts of a round, after its rows.

use tidemark_aws::{Error, metrics::Metric};
use tidemark_core::model::conflict::ConflictWrite;

use super::Outcome;
use crate::push::batch::{decide::DecidedGroup, rounds::BatchRun};

impl BatchRun<'_> {
    /// Stores the conflicts of the groups that are committed. If the stored conflicts of a group
    /// changed after they were read, its outcome becomes [`Outcome::ConditionFailed`].
    pub(super) async fn record_conflicts(
        &self,
        round: &[DecidedGroup],
        mut outcomes: Vec<Outcome>,
    ) -> Result<Vec<Outcome>, Error> {
        let is_committed =
            |(_, outcome): &(&DecidedGroup, &mut Outcome)| matches!(outcome, Outcome::Committed);

        let committed = round.iter().zip(&mut outcomes).filter(is_committed);
        let mut committed: Vec<_> = committed
            .filter(|(decided, _)| !decided.decision.conflicts.is_empty())
            .collect();
        if committed.is_empty() {
            return Ok(outcomes);
        }

        let conflicts = &self.context.tables.conflicts;
        let writes: Vec<&[ConflictWrite]> = committed
            .iter()
            .map(|(decided, _)| decided.decision.conflicts.as_slice())
            .collect();
        let are_stored = conflicts.record(self.sender, &writes).await?;

        let mut opened = 0;
        for ((decided, outcome), is_stored) in committed.iter_mut().zip(are_stored) {
            match is_stored {
                true => {
                    opened += decided
                        .decision
                        .conflicts
                        .iter()
                        .filter(|conflict| conflict.expected_edits == 0)
                        .count()
                }
                false => **outcome = Outcome::ConditionFailed,
            }
        }

        self.context.meter.count(Metric::ConflictsOpened, opened);
        // The limit on open conflicts is approximate: the next full count includes conflicts that
        // are not counted here.
        if opened > 0
            && let Err(failure) = conflicts.add_opened(self.sender, opened).await
        {
            tracing::warn!(%failure, "opened conflicts were not counted");
        }
        Ok(outcomes)
    }
}
