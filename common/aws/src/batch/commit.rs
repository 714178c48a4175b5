//! Deciding and committing until nobody was faster: each resource is one conditional write, and whoever loses a race loads the row
//! again and decides again, a bounded number of times.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tidemark_core::{
    conflict::ConflictWrite,
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::push::{ItemCode, ItemResult},
    push::{
        decide::{ConflictsNeeded, Decision, Stored, decide},
        intake::{Group, Refusal, Sender},
    },
};

use crate::{
    failure::Failure,
    platform::Platform,
    tables::{
        conflicts::Recorded,
        resources::{Committed, Loaded},
    },
};

/// A group that is being decided, with what is stored about its resource.
struct Pending {
    group: Group,
    stored: Stored,
}

/// Decides and commits `groups`, whose rows are `loaded`; gives the answer to each of their items.
pub(crate) async fn commit(
    platform: &Platform,
    sender: Sender<'_>,
    mut groups: Vec<Group>,
    mut loaded: Loaded,
    now: DateTime<Utc>,
) -> Result<Vec<ItemResult>, Failure> {
    let mut results = Vec::new();
    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        if groups.is_empty() {
            return Ok(results);
        }
        if attempt > 0 {
            // Others were faster on these.
            loaded = platform.tables.resources.load(&sender.principal.tenant, groups.iter().map(|group| &group.key)).await?;
        }
        let (unreadable, readable): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| loaded.unreadable.contains(&group.key));
        results.extend(unreadable.iter().flat_map(|group| refuse(group, ItemCode::Unavailable)));
        let stored = |group: &Group, rows: &mut HashMap<_, _>| Stored { resource: rows.remove(&group.key), conflicts: None };
        let mut pending: Vec<Pending> =
            readable.into_iter().map(|group| Pending { stored: stored(&group, &mut loaded.rows), group }).collect();
        let decisions = decide_all(platform, sender, &mut pending, now).await?;
        let committed = write_all(platform, sender, &pending, &decisions).await?;
        // A conflict is stored once the row is what it was decided on.
        let recorded = decisions.iter().zip(&committed).map(async |(decision, committed)| match committed {
            Committed::Written => record(platform, sender, &decision.conflicts).await,
            Committed::Lost | Committed::Unavailable => Ok(false),
        });
        let recorded = try_join_all(recorded).await?;
        let mut lost = Vec::new();
        for (((pending, decision), committed), is_recorded) in pending.into_iter().zip(decisions).zip(committed).zip(recorded) {
            match committed {
                Committed::Written if is_recorded => results.extend(decision.results),
                Committed::Written | Committed::Lost => lost.push(pending.group),
                Committed::Unavailable => results.extend(refuse(&pending.group, ItemCode::Unavailable)),
            }
        }
        groups = lost;
    }
    results.extend(groups.iter().flat_map(|group| refuse(group, ItemCode::Contended)));
    Ok(results)
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
                pending.stored.conflicts = Some(conflicts.of_device(sender, &pending.group.key).await?);
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
        changed.iter().filter_map(|index| Some((&pending[*index].group.key, decisions[*index].write.as_ref()?))).collect();
    let outcomes = platform.tables.resources.commit(sender.principal, &writes).await?;
    let mut committed = vec![Committed::Written; decisions.len()];
    for (index, outcome) in changed.into_iter().zip(outcomes) {
        committed[index] = outcome;
    }
    Ok(committed)
}

/// Stores a group's conflicts; whether all of them still were what was read.
async fn record(platform: &Platform, sender: Sender<'_>, conflicts: &[ConflictWrite]) -> Result<bool, Failure> {
    let records = conflicts.iter().map(|conflict| platform.tables.conflicts.record(sender, conflict));
    Ok(try_join_all(records).await?.into_iter().all(|recorded| recorded == Recorded::Done))
}

/// Answers a group that could not be committed: sending it again, unchanged, may succeed.
fn refuse(group: &Group, code: ItemCode) -> impl Iterator<Item = ItemResult> {
    group.refused_for_now(Refusal::new(
        code,
        "others wrote this resource at the same moment, or its row cannot be written now: send the item again",
    ))
}
