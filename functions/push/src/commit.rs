//! Deciding and committing until nobody was faster: each resource is one conditional write, and whoever loses a race loads the row
//! again and decides again, a bounded number of times.

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tidemark_aws::{
    Failure, Platform,
    tables::{conflicts::Recorded, resources::Committed},
};
use tidemark_core::{
    conflict::ConflictWrite,
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::push::{ItemCode, ItemResult},
    push::{
        decide::{ConflictsNeeded, Decision, Stored, decide},
        intake::{Group, Refusal, Sender},
    },
    resource::Resource,
};

/// A group that is not settled yet, with what is stored about its resource.
pub(crate) struct Pending {
    group: Group,
    stored: Stored,
}

impl Pending {
    pub(crate) fn new(resource: Option<Resource>, group: Group) -> Self {
        Self { group, stored: Stored { resource, conflicts: None } }
    }
}

/// Decides and commits `pending`; gives the answer to each of its items.
pub(crate) async fn commit(
    platform: &Platform,
    sender: Sender<'_>,
    device_id: &str,
    mut pending: Vec<Pending>,
    now: DateTime<Utc>,
) -> Result<Vec<ItemResult>, Failure> {
    let mut results = Vec::new();
    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        if pending.is_empty() {
            return Ok(results);
        }
        if attempt > 0 {
            reload(platform, sender, &mut pending).await?;
        }
        let decisions = decide_all(platform, sender, &mut pending, now).await?;
        let committed = write_all(platform, sender, &pending, &decisions).await?;
        // A conflict is stored once the row is what it was decided on.
        let recorded = decisions.iter().zip(&committed).map(async |(decision, committed)| match committed {
            Committed::Written => record(platform, sender, device_id, &decision.conflicts).await,
            Committed::Lost | Committed::Unavailable => Ok(false),
        });
        let recorded = try_join_all(recorded).await?;
        let mut lost = Vec::new();
        for (((pending, decision), committed), is_recorded) in pending.into_iter().zip(decisions).zip(committed).zip(recorded) {
            match committed {
                Committed::Written if is_recorded => results.extend(decision.results),
                Committed::Written | Committed::Lost => lost.push(pending),
                Committed::Unavailable => results.extend(refuse(&pending.group, ItemCode::Unavailable)),
            }
        }
        pending = lost;
    }
    results.extend(pending.iter().flat_map(|pending| refuse(&pending.group, ItemCode::Contended)));
    Ok(results)
}

/// Loads the rows again that others were faster on.
async fn reload(platform: &Platform, sender: Sender<'_>, pending: &mut [Pending]) -> Result<(), Failure> {
    let keys = pending.iter().map(|pending| &pending.group.key);
    let mut rows = platform.tables.resources.load(&sender.principal.tenant, keys).await?;
    for pending in pending {
        pending.stored = Stored { resource: rows.remove(&pending.group.key), conflicts: None };
    }
    Ok(())
}

/// Decides every group; where an edit conflicts, the device's conflicts about that resource are read first.
async fn decide_all(
    platform: &Platform,
    sender: Sender<'_>,
    pending: &mut [Pending],
    now: DateTime<Utc>,
) -> Result<Vec<Decision>, Failure> {
    let decisions = pending.iter_mut().map(async |pending| -> Result<Decision, Failure> {
        match decide(&pending.group, &pending.stored, sender, now) {
            Ok(decision) => Ok(decision),
            Err(ConflictsNeeded) => {
                let conflicts = &platform.tables.conflicts;
                pending.stored.conflicts = Some(conflicts.of_device(sender.principal, &pending.group.key, sender.author).await?);
                decide(&pending.group, &pending.stored, sender, now)
                    .map_err(|ConflictsNeeded| Failure::Outage("conflicts were read and asked for again".into()))
            }
        }
    });
    try_join_all(decisions).await
}

/// Writes the rows that changed; a group with nothing to write counts as written.
async fn write_all(
    platform: &Platform,
    sender: Sender<'_>,
    pending: &[Pending],
    decisions: &[Decision],
) -> Result<Vec<Committed>, Failure> {
    let changed: Vec<usize> = (0..decisions.len()).filter(|index| decisions[*index].write.is_some()).collect();
    let writes: Vec<_> =
        changed.iter().filter_map(|index| Some((pending[*index].group.key.clone(), decisions[*index].write.clone()?))).collect();
    let outcomes = platform.tables.resources.commit(sender.principal, &writes).await?;
    let mut committed = vec![Committed::Written; decisions.len()];
    for (index, outcome) in changed.into_iter().zip(outcomes) {
        committed[index] = outcome;
    }
    Ok(committed)
}

/// Stores a group's conflicts; whether all of them still were what was read.
async fn record(platform: &Platform, sender: Sender<'_>, device_id: &str, conflicts: &[ConflictWrite]) -> Result<bool, Failure> {
    let records = conflicts.iter().map(|conflict| platform.tables.conflicts.record(sender.principal, device_id, conflict));
    Ok(try_join_all(records).await?.into_iter().all(|recorded| recorded == Recorded::Done))
}

/// Answers a group that could not be committed: sending it again, unchanged, may succeed.
fn refuse(group: &Group, code: ItemCode) -> impl Iterator<Item = ItemResult> {
    group.refused_for_now(Refusal::new(
        code,
        "others wrote this resource at the same moment, or the table was busy: send the item again",
    ))
}
