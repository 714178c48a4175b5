//! The correction of a rejected item (§7): the item runs with another payload, as the device that
//! sent it. The stored items do not change; the results of the other items do not either.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error, media::Media};
use tidemark_core::{
    model::{
        audit::{AuditAction, AuditEntry},
        json::Json,
        principal::{Author, Principal},
        result::ItemResult,
    },
    rules::batch_correction::{Correction, CorrectionRejection, audited_item},
    wire::{
        audit::AuditedItem,
        batches::{CorrectRequest, ReplayResponse},
        problem::{Problem, ProblemCode},
    },
};

use super::{Replayer, commit::audited_result, replay_response};
use crate::{
    batches::StoredBatch,
    push::{Batch, Mode},
};

/// Corrects the item at `index` of the batch with this id, for an admin, who must have been
/// authorized before. Returns its result. A repeated correction that was applied gets its first
/// result, without the payload.
///
/// # Errors
/// Returns a `not_found` problem if the batch or the item does not exist, an `unprocessable`
/// problem if the result of the item is no error, a `contended` problem if another request stored
/// results of the batch concurrently, and `Error::Unavailable` if DynamoDB is unavailable. An edit
/// that was applied stays applied, and a repeated request does not apply it again.
pub async fn correct(
    context: &Context,
    media: &Media,
    admin: &Principal,
    id: &str,
    index: usize,
    request: CorrectRequest,
) -> Result<ReplayResponse, Error> {
    let CorrectRequest {
        payload,
        base_version,
        note,
        dry_run,
    } = request;
    let correction = Correction {
        payload,
        base_version,
        note,
    };
    let dry_run = dry_run.unwrap_or_default();

    let mut stored = StoredBatch::load(context, admin, id).await?;
    stored.raw.principal = stored.raw.principal.without_admin();
    let original = stored.raw.items.get(index).ok_or_else(Problem::not_found)?;

    let answered = stored.read.answered.as_ref();
    let results = answered.map(|answered| &*answered.results);
    let earlier = correction
        .earlier_result(results, index)
        .map_err(rejected)?;
    if let (Some(earlier), Some(answered)) = (earlier, answered) {
        let results = vec![earlier.clone()];
        return Ok(replay_response(
            &stored,
            results,
            dry_run,
            answered.processed_at,
        ));
    }

    let corrected = correction.applied_to(original).map_err(rejected)?;
    let original = std::mem::replace(&mut stored.raw.items[index], corrected);
    let run = CorrectionRun {
        replayer: Replayer {
            context,
            media,
            admin,
            bulk_id: None,
        },
        stored: &stored,
        index,
        correction: &correction,
        original: &original,
    };

    let now = context.clock.now();
    let result = match dry_run {
        true => {
            run.decide(&mut run.other_results(), Mode::DryRun, now)
                .await?
        }
        false => run.apply(now).await?,
    };
    Ok(replay_response(&stored, vec![result], dry_run, now))
}

/// The correction of one item of a loaded batch, whose raw items contain the corrected item.
struct CorrectionRun<'a> {
    replayer: Replayer<'a>,
    stored: &'a StoredBatch,
    index: usize,
    correction: &'a Correction,
    /// The item as the device sent it.
    original: &'a Json,
}

impl CorrectionRun<'_> {
    /// Runs the item between the two audit entries, and stores its result.
    async fn apply(&self, now: DateTime<Utc>) -> Result<ItemResult, Error> {
        let Replayer { context, admin, .. } = self.replayer;
        let started = self.entry(None, now);
        let tables = &context.tables;
        tables.add_audit_entry(&admin.tenant, &started).await?;

        let mut results = self.other_results();
        let result = self.decide(&mut results, Mode::Apply, now).await?;

        let finished = self.entry(Some(&result), context.clock.now());
        results.insert(self.index, result.clone());
        let results: Vec<ItemResult> = results.into_values().collect();
        self.replayer
            .finish(self.stored, &results, &finished, now)
            .await?;
        Ok(result)
    }

    /// Returns the stored results of the other items.
    fn other_results(&self) -> BTreeMap<usize, ItemResult> {
        let answered = self.stored.read.answered.iter();
        answered
            .flat_map(|answered| answered.results.iter())
            .filter(|result| result.index != self.index)
            .map(|result| (result.index, result.clone()))
            .collect()
    }

    /// Loads, decides and commits the corrected item, which may refer to the creates of the other
    /// items. Takes its result from `results`.
    async fn decide(
        &self,
        results: &mut BTreeMap<usize, ItemResult>,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<ItemResult, Error> {
        let Self {
            replayer,
            stored,
            index,
            correction,
            ..
        } = self;
        let author = Author::device(&stored.id.user, &stored.id.device_id);
        let sender = replayer.sender(stored, &author);
        let items = &stored.raw.items;

        let is_corrected = |other: usize| other == *index;
        let batch = Batch::load_part(replayer.context, sender, items, is_corrected, mode).await?;
        let (context, media) = (replayer.context, replayer.media);
        batch
            .decide(context, media, sender, results, now, mode)
            .await?;

        let decided = results.remove(index);
        let mut result =
            decided.ok_or_else(|| Error::unavailable("the corrected item has no result"))?;
        correction.mark(&mut result);
        Ok(result)
    }

    /// Returns the audit entry of the correction, before the item is run or with its result.
    fn entry(&self, result: Option<&ItemResult>, at: DateTime<Utc>) -> AuditEntry {
        let entry = self
            .replayer
            .entry(self.stored, AuditAction::ItemCorrected, at);
        let answered = self.stored.read.answered.iter();
        let earlier = answered
            .flat_map(|answered| answered.results.iter())
            .find(|result| result.index == self.index);

        let corrected = &self.stored.raw.items[self.index];
        AuditEntry {
            note: self.correction.note.clone(),
            before: audited(self.original, earlier),
            after: audited(corrected, result),
            ..entry
        }
    }
}

/// Returns an item and its result as the audit log stores them.
fn audited(item: &Json, result: Option<&ItemResult>) -> Option<Json> {
    let audited = AuditedItem {
        item: audited_item(item),
        result: result.map(audited_result),
    };
    serde_json::value::to_raw_value(&audited).ok()
}

fn rejected(rejection: CorrectionRejection) -> Problem {
    Problem::new(ProblemCode::Unprocessable, rejection.to_string())
}
