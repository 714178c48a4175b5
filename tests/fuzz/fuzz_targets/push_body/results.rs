//! Checks the results of a push, and that repeating it is idempotent.

use std::collections::HashMap;

use chrono::DateTime;
use tidemark_core::{
    model::{
        limits::{SENTENCE_CHARS_MAX, is_name},
        resource::ResourceKey,
        result::{ItemResult, Status},
    },
    rules::push::{decision::Decision, response},
    wire::{
        push::{PushRequest, PushResponse},
        token::sync_token,
    },
};

use super::world::World;

/// Checks that there is one result per item, in order, and that the response survives
/// serialization.
pub(super) fn check_response(push: &PushRequest, mut results: Vec<ItemResult>) {
    assert!(
        results
            .iter()
            .map(|result| result.index)
            .eq(0..push.items.len()),
        "one result per item"
    );

    for result in &results {
        assert_eq!(
            result.status == Status::Ok,
            result.code.is_none() && result.error.is_none()
        );
        assert_eq!(result.status == Status::Error, result.retryable.is_some());
        assert_eq!(
            result.status == Status::Conflict,
            result.conflict_id.is_some() && result.code.is_some()
        );
        assert!(
            result
                .error
                .iter()
                .all(|error| error.chars().count() <= SENTENCE_CHARS_MAX + 1)
        );
        assert!(result.server_id.as_deref().is_none_or(is_name));
    }

    response::fit(&mut results);
    let (batch_id, server_sync_token) = ("batch-1".into(), sync_token(None));
    let response = PushResponse {
        batch_id,
        processed_at: DateTime::UNIX_EPOCH,
        server_sync_token,
        results: results.into_iter().map(Into::into).collect(),
    };
    let text = serde_json::to_string(&response).expect("responses can be serialized");
    let read: PushResponse = serde_json::from_str(&text).expect("responses can be deserialized");
    assert_eq!(read.results.len(), response.results.len());
}

/// Checks that an immediately repeated batch is idempotent: applied items have the same results,
/// and the rows do not change.
pub(super) fn check_repeat(
    first: &[ItemResult],
    again: &[ItemResult],
    before: &HashMap<ResourceKey, u64>,
    world: &World,
) {
    for (first, again) in first.iter().zip(again) {
        if first.status == Status::Ok {
            let observed = |it: &ItemResult| (it.status, it.server_id.clone());
            assert_eq!(
                observed(again),
                observed(first),
                "applied items have the same result in a replay"
            );
        }
    }

    // Items that failed, or conflicted with a unique value that has been released since, may be
    // applied now.
    if first.iter().all(|result| result.status == Status::Ok) {
        assert_eq!(
            world.versions(),
            *before,
            "a repeated batch is not applied again"
        );
    }
    world.check_grown(before);
}

/// Checks that items which were decided and committed are idempotent: deciding them `again` returns
/// the same results and writes nothing.
pub(super) fn check_decided_again(again: &Decision, results: &[ItemResult]) {
    assert!(
        again.write.is_none() && again.unique.is_empty(),
        "repeated items write nothing"
    );
    assert!(
        again.conflicts.is_empty() && again.policy_conflict.is_none(),
        "repeated items write no conflict"
    );

    // A conflict's result contains the current version of the row, which later items of the batch
    // may have changed.
    let version = |it: &ItemResult| it.server_version.filter(|_| it.status != Status::Conflict);
    let observed = |it: &ItemResult| {
        (
            it.index,
            it.status,
            it.server_id.clone(),
            version(it),
            it.conflict_id.clone(),
            it.code,
        )
    };

    // A later item of the batch may have made the change that a conflicting item requested. That
    // item then changes nothing.
    let is_done_since = |again: &ItemResult, first: &ItemResult| {
        first.status == Status::Conflict && again.status == Status::Ok
    };

    let is_same = |(again, first): (&ItemResult, &ItemResult)| {
        observed(again) == observed(first) || is_done_since(again, first)
    };
    assert!(
        again.results.iter().zip(results).all(is_same),
        "repeated items have the same results: {:?} {results:?}",
        again.results
    );
}
