//! The conflict that follows another one in the list from which the page was opened.

use chrono::Duration;
use tidemark_app::conflicts;
use tidemark_aws::Error;
use tidemark_core::{
    model::{
        conflict::{Conflict, ConflictFilter, ListOrder},
        limits::BULK_CONFLICTS_MAX,
    },
    wire::conflicts::ConflictEntry,
};

use super::{ListQuery, path_of};
use crate::page::Visit;

/// Returns the path of the next conflict in the list; `None` at its end, or if more conflicts than
/// a page of the list has were detected at the same time.
pub(super) async fn path(
    visit: &Visit<'_>,
    conflict: &Conflict,
    list: &ListQuery,
) -> Result<Option<String>, Error> {
    let Ok(filter) = list.filter() else {
        return Ok(None);
    };

    let (context, principal) = (visit.context, visit.principal);
    let filter = from(filter, conflict);
    let page = conflicts::list(context, principal, &filter, None, BULK_CONFLICTS_MAX).await?;
    let next = following(&page.conflicts, &conflict.id);
    Ok(next.map(|next| path_of(&next.id, &list.encoded())))
}

/// Returns the filter of the part of a list that begins with the conflicts that were detected at
/// the same time as this one. Times have milliseconds.
fn from(mut filter: ConflictFilter, conflict: &Conflict) -> ConflictFilter {
    let at = conflict.detected_at;
    match filter.order {
        ListOrder::Oldest => {
            filter.detected_from = Some(filter.detected_from.map_or(at, |from| from.max(at)));
        }
        ListOrder::Newest => {
            let after = at + Duration::milliseconds(1);
            let until = filter.detected_until;
            filter.detected_until = Some(until.map_or(after, |until| until.min(after)));
        }
    }
    filter
}

/// Returns the conflict after this one. A conflict that is not in the list, because it is resolved,
/// is followed by the first one.
fn following<'l>(listed: &'l [ConflictEntry], id: &str) -> Option<&'l ConflictEntry> {
    let position = listed.iter().position(|entry| entry.id == id);
    listed.get(position.map_or(0, |position| position + 1))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::pages::conflicts::entry;

    #[test]
    fn next_conflict_follows_in_list() {
        let listed = ["a", "b"].map(|id| ConflictEntry {
            id: id.into(),
            ..entry("m-1")
        });
        let next = |id| following(&listed, id).map(|entry| entry.id.as_str());
        assert_eq!(next("a"), Some("b"));
        assert_eq!(next("b"), None);
        assert_eq!(next("resolved"), Some("a"));
    }

    #[test]
    fn list_begins_at_the_conflict() {
        let conflict = super::super::tests::review(None, "{}", "{}").conflict;
        let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds);
        let newest = ConflictFilter {
            order: ListOrder::Newest,
            ..ConflictFilter::default()
        };
        assert_eq!(
            from(ConflictFilter::default(), &conflict).detected_from,
            at(0)
        );
        assert_eq!(from(newest.clone(), &conflict).detected_until, at(1));

        let bounded = ConflictFilter {
            detected_from: at(5),
            detected_until: at(-5),
            ..newest
        };
        assert_eq!(from(bounded, &conflict).detected_until, at(-5));
    }
}
