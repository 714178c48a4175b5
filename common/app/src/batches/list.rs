//! Lists of batches (§7): those with errors or conflicts, and those without results.

use std::ops::RangeInclusive;

use chrono::{DateTime, Duration, Utc};
use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::{
        batch::{BatchFilter, Failures, ListedBatch, ListedOutcome},
        conflict::ListOrder,
        ids::BatchId,
        limits::UNANSWERED_HOURS_DEFAULT,
        principal::Principal,
        time::timestamp,
    },
    rules::batch_list::{self, first_place, merge, truncate},
    wire::{batches::BatchList, cursor, problem::Problem},
};

use crate::cursors;

/// The entries of a page with their places, and the place after which the next page begins.
type Page = (Vec<(i64, ListedBatch)>, Option<i64>);

/// Decodes the cursor of a list of batches: the place after which the page begins.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this list.
pub fn decode_cursor(filter: &BatchFilter, cursor: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some([place]) = cursors::decode(&list_name(filter), cursor)? else {
        return Ok(None);
    };
    let place: Option<i64> = place.parse().ok().filter(|place| *place >= 0);
    place.map(Some).ok_or_else(cursors::invalid)
}

/// Lists at most `limit` batches of the caller's tenant after the place `after`. The caller is a
/// reader of the tenant. The work of a request is bounded, so a page may have fewer than `limit`
/// batches, or none, and still have a cursor.
///
/// Batches that an earlier build stored are not listed.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable.
pub async fn list(
    context: &Context,
    principal: &Principal,
    filter: &BatchFilter,
    after: Option<i64>,
    limit: usize,
) -> Result<BatchList, Error> {
    let (mut batches, next) = match places(context, filter, after) {
        None => (Vec::new(), None),
        Some(places) if filter.outcome == ListedOutcome::Unanswered => {
            unanswered(context, principal, filter, places).await?
        }
        Some(places) => failed(context, principal, filter, places).await?,
    };
    let next = truncate(&mut batches, limit, next);

    let list_name = list_name(filter);
    Ok(BatchList {
        batches: batches.into_iter().map(|(_, batch)| batch.into()).collect(),
        next_cursor: next.map(|place| cursor::encode(&list_name, [&place.to_string()])),
    })
}

/// Reads batches with the outcome of the filter, in one round trip.
async fn failed(
    context: &Context,
    principal: &Principal,
    filter: &BatchFilter,
    places: RangeInclusive<i64>,
) -> Result<Page, Error> {
    let batches = &context.tables.sync_batches;
    let shards = batches.list(&principal.tenant, filter, places).await?;
    Ok(merge(shards, filter.order))
}

/// Reads received batches, and keeps those without results. Two round trips: the results are read
/// after the index, so that no batch that is answered in between is listed.
async fn unanswered(
    context: &Context,
    principal: &Principal,
    filter: &BatchFilter,
    places: RangeInclusive<i64>,
) -> Result<Page, Error> {
    let (tables, tenant) = (&context.tables, &principal.tenant);
    let shards = tables.sync_items.received(tenant, filter, places).await?;
    let (received, next) = merge(shards, filter.order);

    let ids: Vec<BatchId> = received.iter().map(|(_, id)| id.clone()).collect();
    let answered = tables.sync_batches.with_results(tenant, &ids).await?;

    let batch = |(place, id): (i64, BatchId)| {
        let batch = ListedBatch {
            id,
            received_at: batch_list::time_of(place),
            processed_at: None,
            failures: Failures::default(),
        };
        (place, batch)
    };
    let left = received
        .into_iter()
        .filter(|(_, id)| !answered.contains(id));
    Ok((left.map(batch).collect(), next))
}

/// Returns the places that the page may contain, or `None` if there are none.
fn places(
    context: &Context,
    filter: &BatchFilter,
    after: Option<i64>,
) -> Option<RangeInclusive<i64>> {
    let now = context.clock.now();
    // Expired items are deleted later, and a batch without its items is not found.
    let earliest = now - context.settings.batch_retention;
    let (from, until) = match filter.outcome {
        ListedOutcome::Unanswered => {
            let age = Duration::hours(UNANSWERED_HOURS_DEFAULT);
            let until = batch_list::unanswered_until(now);
            (
                filter.from.unwrap_or(now - age).max(earliest),
                filter.until.map_or(until, |end| end.min(until)),
            )
        }
        ListedOutcome::Error | ListedOutcome::Conflict => (
            filter.from.map_or(earliest, |from| from.max(earliest)),
            filter.until.unwrap_or(DateTime::<Utc>::MAX_UTC),
        ),
    };

    let (mut first, mut last) = (first_place(from), first_place(until) - 1);
    match (filter.order, after) {
        (_, None) => {}
        (ListOrder::Newest, Some(after)) => last = last.min(after - 1),
        (ListOrder::Oldest, Some(after)) => first = first.max(after.saturating_add(1)),
    }
    (first <= last).then_some(first..=last)
}

/// Returns the name of a list in cursors, which contains its filters.
fn list_name(filter: &BatchFilter) -> String {
    let BatchFilter {
        outcome,
        order,
        user,
        device_id,
        from,
        until,
    } = filter;
    let time = |time: &Option<DateTime<Utc>>| time.map(timestamp);
    let texts = [user.clone(), device_id.clone(), time(from), time(until)];
    format!("batches?outcome={outcome}&order={order}&{texts:?}")
}
