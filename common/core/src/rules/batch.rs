//! Rules for showing stored batches and replaying them (§7).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    model::{
        channel::Channel,
        json::Json,
        limits::{RESPONSE_BYTES_MAX, escaped_bytes},
        result::ItemResult,
    },
    rules::ack::Positions,
};

/// Bytes of a response that are reserved for its other members, chiefly the results.
const ENVELOPE_BYTES: usize = 1000 * 1000;

/// The items of a batch that fit into one response.
#[derive(Debug, Default)]
pub struct ItemPage {
    /// The items in order; `None` for an item that is too large for any response.
    pub items: Vec<Option<Json>>,
    /// The index of the first item of the next page; `None` on the last page.
    pub next_item: Option<usize>,
    /// Indexes of the items that are too large for any response.
    pub omitted: Vec<usize>,
}

/// Returns as many of `items` as fit into one response, beginning at the index `from`.
///
/// # Example
///
/// ```
/// use tidemark_core::{model::json::Json, rules::batch::page};
///
/// let text = format!("\"{}\"", "x".repeat(1_500_000));
/// let items: Vec<Json> = (0..3).map(|_| serde_json::from_str(&text).unwrap()).collect();
/// let first = page(items.clone(), 0);
/// assert_eq!((first.items.len(), first.next_item), (2, Some(2)));
///
/// let second = page(items, 2);
/// assert_eq!((second.items.len(), second.next_item), (1, None));
/// ```
pub fn page(items: Vec<Json>, from: usize) -> ItemPage {
    let mut page = ItemPage::default();
    let mut left = RESPONSE_BYTES_MAX - ENVELOPE_BYTES;

    for (index, item) in items.into_iter().enumerate().skip(from) {
        let bytes = escaped_bytes(item.get());
        if bytes > RESPONSE_BYTES_MAX - ENVELOPE_BYTES {
            page.items.push(None);
            page.omitted.push(index);
        } else if let Some(rest) = left.checked_sub(bytes) {
            page.items.push(Some(item));
            left = rest;
        } else {
            page.next_item = Some(index);
            break;
        }
    }
    page
}

/// Returns the results that a replay keeps: those with the status `ok`, and those of items that an
/// admin corrected. All other items are evaluated again. A corrected item is not, because the
/// stored item is not what was decided.
///
/// # Example
///
/// ```
/// use tidemark_core::{
///     model::result::{ItemCode, ItemResult, Rejection},
///     rules::batch::applied_results,
/// };
///
/// // The item 1 failed, so a replay evaluates it again.
/// let ok = ItemResult::ok(0, None, "m-1".into(), Some(1));
/// let failed = Rejection::new(ItemCode::NotFound, "no such meter");
/// let failed = failed.into_result(1, None, None, false);
/// assert!(applied_results(vec![ok, failed]).into_keys().eq([0]));
/// ```
pub fn applied_results(results: Vec<ItemResult>) -> BTreeMap<usize, ItemResult> {
    let settled = results.into_iter().filter(ItemResult::is_settled);
    settled.map(|result| (result.index, result)).collect()
}

/// Returns the result as it is stored: without its payload, which is stored in the row of its
/// resource only. The payload is not copied.
///
/// # Example
///
/// ```
/// use tidemark_core::{model::result::ItemResult, rules::batch::without_payload};
///
/// let plain = ItemResult::ok(0, None, "m-1".into(), Some(1));
/// assert!(!without_payload(&plain).server_payload_omitted);
///
/// let payload = serde_json::from_str("{}").ok();
/// let stored = without_payload(&ItemResult { server_payload: payload, ..plain });
/// assert!(stored.server_payload.is_none() && stored.server_payload_omitted);
/// ```
pub fn without_payload(result: &ItemResult) -> ItemResult {
    ItemResult {
        index: result.index,
        client_temp_id: result.client_temp_id.clone(),
        status: result.status,
        server_id: result.server_id.clone(),
        server_version: result.server_version,
        merged: result.merged,
        conflict_id: result.conflict_id.clone(),
        server_payload: None,
        server_payload_omitted: result.server_payload_omitted || result.server_payload.is_some(),
        server_deleted: result.server_deleted,
        resolution: result.resolution,
        superseded_conflicts: result.superseded_conflicts.clone(),
        holder_id: result.holder_id.clone(),
        code: result.code,
        error: result.error.clone(),
        retryable: result.retryable,
        correction: result.correction,
    }
}

/// Returns whether a device that pulls `channels` has acknowledged, in each of them, a position
/// that it reached after `moment`.
///
/// # Example
///
/// ```
/// use chrono::{DateTime, Duration};
/// use tidemark_core::{
///     model::{channel::Channel, position::Position},
///     rules::{ack::{AckPosition, Positions}, batch::is_delivered},
/// };
///
/// let moment = DateTime::UNIX_EPOCH;
/// let acked = AckPosition { position: Position::START, at: moment + Duration::seconds(1) };
/// let positions = Positions::from([(Channel::Tenant, acked)]);
/// assert!(is_delivered(&[Channel::Tenant], &positions, moment));
/// // A later position is missing in the channel of the user.
/// let channels = [Channel::Tenant, Channel::User("ana".into())];
/// assert!(!is_delivered(&channels, &positions, moment));
/// ```
pub fn is_delivered(channels: &[Channel], positions: &Positions, moment: DateTime<Utc>) -> bool {
    !channels.is_empty()
        && channels.iter().all(|channel| {
            positions
                .get(channel)
                .is_some_and(|applied| applied.at > moment)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        model::{position::Position, result::Status},
        rules::ack::AckPosition,
    };

    fn text(letters: usize) -> Json {
        RawValue::from_string(format!("\"{}\"", "x".repeat(letters))).expect("test JSON")
    }

    #[test]
    fn pages_contain_each_item_once_in_order() {
        let items: Vec<Json> = (0..10).map(|_| text(1_500_000)).collect();

        let mut indexes = Vec::new();
        let mut from = Some(0);
        while let Some(start) = from {
            let page = page(items.clone(), start);
            assert!(
                page.items
                    .iter()
                    .flatten()
                    .map(|item| escaped_bytes(item.get()))
                    .sum::<usize>()
                    <= 4_000_000
            );
            indexes.extend(start..start + page.items.len());
            from = page.next_item;
        }

        assert_eq!(indexes, (0..10).collect::<Vec<_>>());
        assert!(page(items, 10).items.is_empty());
    }

    #[test]
    fn oversized_item_is_listed_as_omitted() {
        let quotes =
            RawValue::from_string(format!("\"{}\"", "\\\"".repeat(1_200_000))).expect("test JSON");
        let page = page(vec![text(1), quotes, text(1)], 0);
        assert_eq!(
            (
                page.items.len(),
                page.items[1].is_none(),
                page.omitted,
                page.next_item
            ),
            (3, true, vec![1], None)
        );
    }

    #[test]
    fn only_applied_and_corrected_items_are_settled() {
        let ok = |index| ItemResult::ok(index, None, "m".into(), Some(1));
        let results = vec![
            ok(0),
            ItemResult {
                status: Status::Conflict,
                ..ok(1)
            },
            ItemResult {
                status: Status::Error,
                ..ok(2)
            },
            ItemResult {
                status: Status::Error,
                retryable: Some(true),
                ..ok(3)
            },
            ok(4),
            ItemResult {
                status: Status::Conflict,
                correction: Some(7),
                ..ok(5)
            },
        ];

        assert_eq!(
            applied_results(results).into_keys().collect::<Vec<_>>(),
            [0, 4, 5]
        );
    }

    #[test]
    fn delivery_requires_later_position_in_every_channel() {
        let moment =
            |seconds: i64| DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("in range");
        let at = |seconds: i64| AckPosition {
            position: Position::START,
            at: moment(seconds),
        };

        let channels = [Channel::Tenant, Channel::User("ana".into())];
        let acked = |tenant: i64, user: i64| {
            Positions::from([
                (channels[0].clone(), at(tenant)),
                (channels[1].clone(), at(user)),
            ])
        };

        assert!(is_delivered(&channels, &acked(6, 7), moment(5)));
        assert!(!is_delivered(&channels, &acked(6, 5), moment(5)));
        assert!(!is_delivered(
            &channels,
            &Positions::from([(channels[0].clone(), at(9))]),
            moment(5)
        ));
        assert!(!is_delivered(&[], &Positions::new(), moment(5)));
    }
}
