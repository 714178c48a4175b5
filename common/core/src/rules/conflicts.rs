//! Counts the open conflicts of a tenant by type and code (§5.1).

use std::{cmp::Reverse, collections::BTreeMap};

use crate::model::{
    conflict::{ConflictCount, CountedConflict, OpenConflictCounts},
    limits::CONFLICTS_COUNTED_MAX,
};

/// Counts conflicts. `has_more` is whether the tenant has open conflicts besides these. Of more
/// than [`CONFLICTS_COUNTED_MAX`] conflicts, the oldest are counted.
///
/// # Example
///
/// ```
/// use chrono::DateTime;
/// use tidemark_core::{
///     model::{conflict::CountedConflict, result::ItemCode},
///     rules::conflicts::summarize,
/// };
///
/// let conflict = CountedConflict {
///     resource_type: "meter".into(),
///     code: ItemCode::VersionMismatch,
///     detected_at: DateTime::UNIX_EPOCH,
/// };
/// let counts = summarize(vec![conflict.clone(), conflict], false);
/// assert_eq!((counts.count, counts.has_more, counts.by[0].count), (2, false, 2));
/// ```
pub fn summarize(mut conflicts: Vec<CountedConflict>, has_more: bool) -> OpenConflictCounts {
    conflicts.sort_by_key(|conflict| conflict.detected_at);
    let has_more = has_more || conflicts.len() > CONFLICTS_COUNTED_MAX;
    conflicts.truncate(CONFLICTS_COUNTED_MAX);

    let (count, oldest_at) = (
        conflicts.len(),
        conflicts.first().map(|oldest| oldest.detected_at),
    );
    let mut groups: BTreeMap<(String, &str), ConflictCount> = BTreeMap::new();
    for CountedConflict {
        resource_type,
        code,
        ..
    } in conflicts
    {
        let group = groups
            .entry((resource_type.clone(), code.as_str()))
            .or_insert(ConflictCount {
                resource_type,
                code,
                count: 0,
            });
        group.count += 1;
    }

    let mut by: Vec<ConflictCount> = groups.into_values().collect();
    by.sort_by_key(|group| Reverse(group.count));
    OpenConflictCounts {
        count,
        has_more,
        oldest_at,
        by,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::result::ItemCode;

    fn conflict(resource_type: &str, code: ItemCode, second: i64) -> CountedConflict {
        CountedConflict {
            resource_type: resource_type.into(),
            code,
            detected_at: DateTime::from_timestamp(second, 0).expect("a time"),
        }
    }

    #[test]
    fn conflicts_are_counted_by_type_and_code() {
        let counts = summarize(
            vec![
                conflict("task", ItemCode::IdTaken, 7),
                conflict("meter", ItemCode::VersionMismatch, 5),
                conflict("task", ItemCode::VersionMismatch, 6),
                conflict("meter", ItemCode::IdTaken, 9),
                conflict("task", ItemCode::VersionMismatch, 8),
            ],
            false,
        );

        let by: Vec<_> = counts
            .by
            .iter()
            .map(|group| {
                (
                    group.resource_type.as_str(),
                    group.code.as_str(),
                    group.count,
                )
            })
            .collect();
        assert_eq!(
            by,
            [
                ("task", "version_mismatch", 2),
                ("meter", "id_taken", 1),
                ("meter", "version_mismatch", 1),
                ("task", "id_taken", 1),
            ]
        );
        assert_eq!((counts.count, counts.has_more), (5, false));
        assert_eq!(counts.oldest_at, DateTime::from_timestamp(5, 0));
    }

    #[test]
    fn count_has_a_maximum() {
        let many = |count: usize| -> Vec<CountedConflict> {
            (0..count as i64)
                .rev()
                .map(|second| conflict("meter", ItemCode::VersionMismatch, second))
                .collect()
        };
        for (count, more, expected) in [
            (CONFLICTS_COUNTED_MAX, false, false),
            (CONFLICTS_COUNTED_MAX, true, true),
            (CONFLICTS_COUNTED_MAX + 1, false, true),
        ] {
            let counts = summarize(many(count), more);
            assert_eq!(
                (counts.count, counts.has_more, counts.by[0].count),
                (CONFLICTS_COUNTED_MAX, expected, CONFLICTS_COUNTED_MAX)
            );
            assert_eq!(counts.oldest_at, DateTime::from_timestamp(0, 0));
        }

        let none = summarize(Vec::new(), false);
        assert_eq!((none.count, none.oldest_at, none.by), (0, None, Vec::new()));
    }
}
