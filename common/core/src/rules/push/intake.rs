//! Turns sent items into edits, each by itself (§3.7): its resource is determined (§3.1), and its
//! payload is checked against the bounds (§2). This module does not use stored rows.

mod links;
mod parsed_item;
mod resource;

use indexmap::IndexMap;

use crate::{
    model::{edit::SentItem, resource::ResourceKey, result::ItemResult},
    rules::push::{
        edit::{Create, Sender},
        group::{CarriedState, Group, Item},
    },
};
use parsed_item::ParsedItem;
use resource::named_creates;

/// The edits of a batch.
#[derive(Debug)]
pub struct Intake {
    /// The groups, one for each resource, in the order of their first items.
    pub groups: Vec<Group>,
    /// Results of items whose resource cannot be determined.
    pub rejected: Vec<ItemResult>,
    /// The creates that have a temp id, invalid ones included.
    pub creates: Vec<Create>,
}

/// Determines the edits of a batch and groups them by resource.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use phone::{Phone, sent};
/// use serde_json::json;
/// use tidemark_core::{model::result::ItemCode, rules::push::intake::read};
///
/// let items = sent([
///     json!({"action": "create", "payload": {"id": "m-1"}}),
///     json!({"action": "create", "payload": {"id": "m-2"}}),
///     json!({"action": "update", "payload": {"id": "m-1", "unit": "kWh"}}),
///     json!({"action": "update", "payload": {"unit": "kWh"}}),
/// ]);
/// let intake = read(items, Phone::new().sender());
///
/// // One group for each resource; an item that names no resource belongs to none.
/// let groups: Vec<Vec<usize>> =
///     intake.groups.iter().map(|group| group.indexes().collect()).collect();
/// assert_eq!(groups, [vec![0, 2], vec![1]]);
/// assert_eq!(intake.rejected[0].index, 3);
/// assert_eq!(intake.rejected[0].code, Some(ItemCode::IdRequired));
/// ```
pub fn read(items: impl IntoIterator<Item = SentItem>, sender: Sender<'_>) -> Intake {
    let sent: Vec<SentItem> = items.into_iter().collect();
    let named = named_creates(&sent, sender);
    let parsed: Vec<ParsedItem> = sent
        .into_iter()
        .enumerate()
        .map(|(index, sent)| ParsedItem::new(sent, index, &named, sender))
        .collect();

    let creates: Vec<Create> = parsed
        .iter()
        .enumerate()
        .filter_map(|(index, parsed)| parsed.create(index))
        .collect();
    let (groups, rejected) = grouped(parsed, &creates, sender);

    Intake {
        groups,
        rejected,
        creates,
    }
}

/// Groups the items by resource and adds the links of their edits. Also returns the results of the
/// items whose resource cannot be determined.
fn grouped(
    parsed: Vec<ParsedItem>,
    creates: &[Create],
    sender: Sender<'_>,
) -> (Vec<Group>, Vec<ItemResult>) {
    let mut rejected = Vec::new();
    let mut groups: IndexMap<ResourceKey, Vec<Item>> = IndexMap::new();

    for (index, parsed) in parsed.into_iter().enumerate() {
        let temp_id = parsed.temp_id;
        match (parsed.key, parsed.edit) {
            (Ok(key), edit) => {
                let edit =
                    edit.and_then(|(edit, fields)| edit.with_links(&fields, &key, creates, sender));
                let item = Item::new(edit, index, temp_id, &key);
                groups.entry(key).or_default().push(item);
            }
            (Err(rejection), Ok(_)) | (Err(_), Err(rejection)) => {
                rejected.push(rejection.into_result(index, temp_id, None, false));
            }
        }
    }

    let group = |(key, items)| Group {
        key,
        items,
        carried: CarriedState::default(),
    };
    (groups.into_iter().map(group).collect(), rejected)
}
