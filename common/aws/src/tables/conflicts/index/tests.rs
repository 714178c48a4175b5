//! Pages of lists over shards in memory: every conflict is on exactly one page, in order.

use std::collections::BTreeSet;

use tidemark_core::model::conflict::ListedStatus;

use super::*;

/// A conflict in the memory of a test, which the list contains or not.
#[derive(Debug, Clone)]
struct StoredConflict {
    shard: Shard,
    detected_at: String,
    sk: String,
    is_listed: bool,
}

/// Returns the time in milliseconds `at`, as rows contain it.
fn time(at: usize) -> String {
    format!("2026-01-01T00:00:00.{at:03}Z")
}

/// Returns forty conflicts in three shards of each status, a third of which belong to the list.
/// Several legacy conflicts have the same time.
fn stored(seed: usize) -> Vec<StoredConflict> {
    let conflict = |number: usize| {
        let mixed = (number + 1)
            .wrapping_mul(2_654_435_761)
            .wrapping_add(seed * 97)
            >> 3;
        let status = [ConflictStatus::Open, ConflictStatus::Resolved][mixed % 2];
        let at = time(mixed / 2 % 9);

        let (shard, detected_at) = match mixed / 18 % 3 {
            0 => (Shard::legacy("acme", status), at),
            shard => (
                Shard::numbered("acme", status, shard as u8),
                format!("{at}#{number:024x}"),
            ),
        };
        StoredConflict {
            shard,
            detected_at,
            sk: format!("conf-{:03}", (number * 7) % 40),
            is_listed: (mixed / 54).is_multiple_of(3),
        }
    };
    (0..40).map(conflict).collect()
}

/// Returns an entry of the index.
fn entry(detected_at: &str, sk: &str) -> IndexEntry {
    IndexEntry {
        detected_at: detected_at.to_owned(),
        sk: sk.to_owned(),
        pk: "acme".to_owned(),
        resource_type: None,
        code: None,
    }
}

/// Returns the conflicts of a shard between the bounds of a range and after its start, in an order.
fn within<'a>(
    stored: &'a [StoredConflict],
    shard: &Shard,
    range: &KeyRange,
    order: ListOrder,
) -> Vec<&'a StoredConflict> {
    let place = |it: &StoredConflict| (it.detected_at.clone(), it.sk.clone());
    let mut found: Vec<_> = stored
        .iter()
        .filter(|it| it.shard == *shard)
        .filter(|it| range.from <= it.detected_at && it.detected_at <= range.until)
        .collect();
    found.sort_by_key(|it| place(it));

    if let Some(key) = &range.start {
        let of = |name| text(key, name).expect("a key").to_owned();
        let start = (of("detected_at"), of("sk"));
        match order {
            ListOrder::Oldest => found.retain(|it| place(it) > start),
            ListOrder::Newest => found.retain(|it| place(it) < start),
        }
    }
    if order == ListOrder::Newest {
        found.reverse();
    }
    found
}

/// Reads a shard as DynamoDB does: `limit` applies to the entries that are examined.
fn read(stored: &[StoredConflict], shard: &Shard, query: &IndexQuery<'_>) -> ShardPage {
    let Some(range) = KeyRange::of(shard, query) else {
        return ShardPage::default();
    };
    let mut examined = within(stored, shard, &range, query.order);
    let limit = query.limit + usize::from(range.excluded.is_some());
    let is_cut = examined.len() >= limit;
    examined.truncate(limit);

    let of = |it: &StoredConflict| entry(&it.detected_at, &it.sk);
    let listed = examined.iter().filter(|it| it.is_listed);
    ShardPage {
        end: examined.last().filter(|_| is_cut).map(|last| of(last)),
        entries: listed
            .map(|it| of(it))
            .filter(|entry| Some(&entry.detected_at) != range.excluded.as_ref())
            .collect(),
    }
}

/// Reads a list to its end, in pages of `limit` conflicts for which `scanned` entries of each shard
/// are examined.
fn read_all(
    stored: &[StoredConflict],
    filter: &ConflictFilter,
    limit: usize,
    scanned: usize,
) -> Vec<IndexEntry> {
    let (mut listed, mut after): (_, Option<ConflictCursor>) = (Vec::new(), None);
    for _ in 0..200 {
        let query = IndexQuery {
            limit: scanned,
            ..IndexQuery::of_list(filter, after.as_ref(), limit)
        };
        let pages = Shard::of_list("acme", filter)
            .into_iter()
            .map(|shard| (shard.clone(), read(stored, &shard, &query)))
            .collect();

        let (page, next) = merge(pages, filter.order, limit);
        assert!(page.len() <= limit, "{} entries", page.len());
        listed.extend(page);
        after = next;
        if after.is_none() {
            return listed;
        }
    }
    panic!("the list does not end");
}

#[test]
fn pages_have_each_conflict_once() {
    for seed in 0..60 {
        let stored = stored(seed);
        for status in [
            ListedStatus::Open,
            ListedStatus::Resolved,
            ListedStatus::All,
        ] {
            let listed = stored
                .iter()
                .filter(|it| it.is_listed && status.statuses().contains(&it.shard.status));
            let expected: BTreeSet<_> = listed.map(|it| (&it.detected_at, &it.sk)).collect();

            for order in [ListOrder::Oldest, ListOrder::Newest] {
                let filter = ConflictFilter {
                    status,
                    order,
                    ..ConflictFilter::default()
                };
                for (limit, scanned) in [(1, 2), (2, 1), (3, 3), (7, 8), (50, 4), (50, 51)] {
                    let seen = read_all(&stored, &filter, limit, scanned);
                    let times: Vec<_> = seen.iter().map(|it| &it.detected_at).collect();
                    let is_ordered = match order {
                        ListOrder::Oldest => times.is_sorted(),
                        ListOrder::Newest => times.iter().rev().is_sorted(),
                    };
                    let context = format!("seed {seed}, {status} {order}, {limit} of {scanned}");
                    assert!(is_ordered, "{context}: {times:?}");

                    let all: BTreeSet<_> =
                        seen.iter().map(|it| (&it.detected_at, &it.sk)).collect();
                    assert_eq!((&all, seen.len()), (&expected, expected.len()), "{context}");
                }
            }
        }
    }
}

#[test]
fn page_ends_at_nearest_unread_place() {
    let entry = |at: usize| entry(&format!("{}#{at:024x}", time(at)), &format!("c#{at}"));
    let page = |entries: &[usize], end: Option<usize>| ShardPage {
        entries: entries.iter().map(|at| entry(*at)).collect(),
        end: end.map(entry),
    };
    let shard = |number| Shard::numbered("acme", ConflictStatus::Open, number);
    let pages = vec![
        (shard(0), page(&[1, 8], Some(9))),
        (shard(1), page(&[], Some(5))),
        (shard(2), page(&[3, 6], None)),
    ];

    let (found, next) = merge(pages.clone(), ListOrder::Oldest, 10);
    assert_eq!(found, [entry(1), entry(3)]);
    assert_eq!(next, Some(entry(5).cursor(ConflictStatus::Open)));

    let (found, next) = merge(pages, ListOrder::Oldest, 1);
    assert_eq!(found, [entry(1)]);
    assert_eq!(next, Some(entry(1).cursor(ConflictStatus::Open)));
}

#[test]
fn conflict_in_two_shards_is_listed_once() {
    let entry = entry(&format!("{}#0", time(1)), "c#1");
    let pages = [ConflictStatus::Open, ConflictStatus::Resolved].map(|status| {
        let page = ShardPage {
            entries: vec![entry.clone()],
            end: None,
        };
        (Shard::numbered("acme", status, 0), page)
    });
    let merged = merge(pages.into(), ListOrder::Oldest, 10);
    assert_eq!(merged, (vec![entry], None));
}

#[test]
fn time_bounds_include_start_not_end() {
    let moment = |at| tidemark_core::model::time::parse(&time(at));
    let times = TimeBounds::between(moment(3), moment(5));
    for order in [ListOrder::Oldest, ListOrder::Newest] {
        let query = IndexQuery {
            times: times.clone(),
            ..IndexQuery::first(order, 1)
        };
        let range = KeyRange::of(&Shard::legacy("acme", ConflictStatus::Open), &query);
        let range = range.expect("a range");
        for (at, is_within) in [(2, false), (3, true), (4, true), (5, false)] {
            for text in [
                time(at),
                format!("{}#0", time(at)),
                format!("{}#f", time(at)),
            ] {
                assert_eq!(
                    range.from <= text && text <= range.until,
                    is_within,
                    "{text}"
                );
            }
        }
    }

    let nothing = IndexQuery {
        times: TimeBounds::between(moment(5), moment(5)),
        ..IndexQuery::first(ListOrder::Oldest, 1)
    };
    assert_eq!(
        KeyRange::of(&Shard::numbered("acme", ConflictStatus::Open, 0), &nothing),
        None
    );
}

#[test]
fn cursor_outside_the_bounds_is_harmless() {
    let moment = |at| tidemark_core::model::time::parse(&time(at));
    let after = |at| ConflictCursor {
        detected_at: time(at),
        sk: "conf-1".to_owned(),
        status: ConflictStatus::Open,
    };

    // DynamoDB rejects a start key that the key condition excludes, and bounds in reverse order.
    for (at, order, is_empty) in [
        (1, ListOrder::Oldest, false),
        (1, ListOrder::Newest, true),
        (9, ListOrder::Oldest, true),
        (9, ListOrder::Newest, false),
    ] {
        let cursor = after(at);
        let query = IndexQuery {
            times: TimeBounds::between(moment(3), moment(5)),
            after: Some(&cursor),
            ..IndexQuery::first(order, 1)
        };
        let range = KeyRange::of(&Shard::legacy("acme", ConflictStatus::Open), &query);
        assert_eq!(range.is_none(), is_empty, "{at} {order}");
        assert!(range.is_none_or(|range| range.start.is_none()));
    }
}
