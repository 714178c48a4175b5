//! Rules for the lists of batches (§7). The index of a list is divided into shards. A batch has one
//! place in it, by which all shards have one order.

use chrono::{DateTime, Utc};

use crate::model::{
    batch::Failures,
    conflict::ListOrder,
    limits::{BATCH_SHARDS, LISTED_BATCH_AGE_SECONDS_MIN},
    result::{ItemResult, Status},
};

/// The number of bits of a place that distinguish batches of the same millisecond.
const TAIL_BITS: u32 = 20;
/// The first millisecond that has no place.
const TIME_END_MS: i64 = i64::MAX >> TAIL_BITS;

/// Returns the shard of the batches of a device, from a digest of the device.
pub fn shard(device: &[u8; 32]) -> u8 {
    device[0] % BATCH_SHARDS
}

/// Returns the place in a list of a batch that was processed or received at `at`. A digest of the
/// id of the batch distinguishes batches of the same millisecond.
///
/// # Example
///
/// ```
/// use chrono::{DateTime, Duration};
/// use tidemark_core::rules::batch_list::{first_place, place, time_of};
///
/// let at = DateTime::UNIX_EPOCH + Duration::milliseconds(7);
/// let place = place(at, &[255; 32]);
/// assert!(first_place(at) < place && place < first_place(at + Duration::milliseconds(1)));
/// assert_eq!(time_of(place), Some(at));
/// ```
pub fn place(at: DateTime<Utc>, digest: &[u8; 32]) -> i64 {
    let tail = u32::from_be_bytes([0, digest[1], digest[2], digest[3]]) >> (24 - TAIL_BITS);
    first_place(at) | i64::from(tail)
}

/// Returns the lowest place of a batch that was processed or received at `at`. Times before 1970
/// have the first place, and times after the year 2248 the last.
pub fn first_place(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis().clamp(0, TIME_END_MS) << TAIL_BITS
}

/// Returns the time of a place.
pub fn time_of(place: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(place >> TAIL_BITS)
}

/// Returns the time before which a batch without results must have been received to be listed. The
/// push of a younger batch may still be running.
pub fn unanswered_until(now: DateTime<Utc>) -> DateTime<Utc> {
    now - chrono::Duration::seconds(LISTED_BATCH_AGE_SECONDS_MIN)
}

/// Returns the number of results that are not `ok`.
pub fn failures(results: &[ItemResult]) -> Failures {
    let count = |status| {
        results
            .iter()
            .filter(|result| result.status == status)
            .count()
    };
    Failures {
        errors: count(Status::Error),
        conflicts: count(Status::Conflict),
    }
}

/// The part of a shard that was read for a page of a list.
#[derive(Debug, Clone)]
pub struct ShardPage<T> {
    /// The entries that match the list, with their places.
    pub entries: Vec<(i64, T)>,
    /// The place of the last entry that was examined, or `None` if the shard was read to its end.
    pub end: Option<i64>,
}

/// Merges what was read of the shards. Returns the entries in the order of the list, with their
/// places, and the place after which the next page begins; `None` on the last page.
///
/// The entries after the end of a shard that was not read completely are unknown. The page
/// therefore ends at the nearest such end, so that the next page contains every later entry.
///
/// # Example
///
/// ```
/// use tidemark_core::{model::conflict::ListOrder, rules::batch_list::{ShardPage, merge}};
///
/// // The second shard was examined up to the place 5, and has more.
/// let complete = ShardPage { entries: vec![(2, "b"), (9, "d")], end: None };
/// let cut = ShardPage { entries: vec![(1, "a")], end: Some(5) };
/// let (entries, next) = merge(vec![complete, cut], ListOrder::Oldest);
/// assert_eq!((entries, next), (vec![(1, "a"), (2, "b")], Some(5)));
/// ```
pub fn merge<T>(shards: Vec<ShardPage<T>>, order: ListOrder) -> (Vec<(i64, T)>, Option<i64>) {
    let ends = shards.iter().filter_map(|shard| shard.end);
    let horizon = match order {
        ListOrder::Newest => ends.max(),
        ListOrder::Oldest => ends.min(),
    };

    let is_known = |place: i64| {
        horizon.is_none_or(|horizon| match order {
            ListOrder::Newest => place >= horizon,
            ListOrder::Oldest => place <= horizon,
        })
    };
    let mut entries: Vec<(i64, T)> = shards
        .into_iter()
        .flat_map(|shard| shard.entries)
        .filter(|(place, _)| is_known(*place))
        .collect();

    entries.sort_by_key(|(place, _)| *place);
    if order == ListOrder::Newest {
        entries.reverse();
    }
    (entries, horizon)
}

/// Truncates the entries of a page to `limit`. Returns the place after which the next page begins,
/// which is `next` if all entries fit.
pub fn truncate<T>(entries: &mut Vec<(i64, T)>, limit: usize, next: Option<i64>) -> Option<i64> {
    if entries.len() <= limit {
        return next;
    }
    entries.truncate(limit);
    entries.last().map(|(place, _)| *place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).expect("in range")
    }

    #[test]
    fn places_have_the_order_of_times() {
        let digests = [[0; 32], [7; 32], [255; 32]];
        let mut places = Vec::new();
        for ms in [0, 1, 1_790_000_000_000, 1_790_000_000_001] {
            for digest in &digests {
                let place = place(at(ms), digest);
                assert_eq!(time_of(place), Some(at(ms)));
                places.push(place);
            }
        }
        assert!(places.is_sorted_by(|one, other| one < other), "{places:?}");
    }

    #[test]
    fn times_out_of_range_have_places() {
        for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert!(place(time, &[255; 32]) >= 0);
            assert!(time_of(first_place(time)).is_some());
        }
        assert!(first_place(DateTime::<Utc>::MAX_UTC) > first_place(at(1_790_000_000_000)));
    }

    /// Reads a list of shards page by page, at most `examined` entries of a shard at a time.
    fn read_pages(shards: &[Vec<i64>], order: ListOrder, examined: usize) -> Vec<i64> {
        let (mut read, mut after) = (Vec::new(), None::<i64>);
        for _ in 0..100 {
            let pages = shards.iter().map(|shard| {
                let mut shard = shard.clone();
                shard.sort_unstable();
                if order == ListOrder::Newest {
                    shard.reverse();
                }
                shard.retain(|place| {
                    after.is_none_or(|after| match order {
                        ListOrder::Newest => *place < after,
                        ListOrder::Oldest => *place > after,
                    })
                });
                let end = (shard.len() > examined).then(|| shard[examined - 1]);
                shard.truncate(examined);
                // Only even places match the filter.
                let entries = shard.into_iter().filter(|place| place % 2 == 0);
                ShardPage {
                    entries: entries.map(|place| (place, ())).collect(),
                    end,
                }
            });

            let (mut entries, next) = merge(pages.collect(), order);
            let next = truncate(&mut entries, 3, next);
            read.extend(entries.into_iter().map(|(place, ())| place));
            after = next;
            if after.is_none() {
                return read;
            }
        }
        panic!("the list does not end");
    }

    #[test]
    fn pages_contain_each_entry_once() {
        let shards = [
            (0..40).map(|place| place * 3).collect::<Vec<_>>(),
            vec![1, 2, 100],
            (0..5).map(|place| 1000 + place).collect(),
            Vec::new(),
        ];
        // The places 0, 3, … and 1, 2, 100 do not overlap.
        let mut expected: Vec<i64> = shards.concat();
        expected.retain(|place| place % 2 == 0);
        expected.sort_unstable();

        for examined in [1, 2, 7, 100] {
            assert_eq!(
                read_pages(&shards, ListOrder::Oldest, examined),
                expected,
                "{examined}"
            );
            let newest = read_pages(&shards, ListOrder::Newest, examined);
            assert!(newest.iter().eq(expected.iter().rev()), "{examined}");
        }
    }

    #[test]
    fn failures_count_errors_and_conflicts() {
        let with = |status| ItemResult {
            status,
            ..ItemResult::ok(0, None, "m".into(), Some(1))
        };
        let results = [Status::Ok, Status::Error, Status::Conflict, Status::Error].map(with);
        let expected = Failures {
            errors: 2,
            conflicts: 1,
        };
        assert_eq!(failures(&results), expected);
        assert_eq!(failures(&results[..1]), Failures::default());
    }
}
