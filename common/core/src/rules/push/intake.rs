//! Turns pushed items into edits: each item is parsed by itself (§3.7), its resource is determined
//! (§3.1), and it is checked against the bounds (§2). This module does not use stored rows.

mod group;
mod links;
mod raw_item;

use indexmap::IndexMap;

use super::references::{Create, Reference};
use crate::{
    model::{
        catalog::Catalog,
        json::Json,
        principal::{Author, Principal},
        resource::{EditId, ResourceKey},
    },
    wire::{Action, push::ItemResult},
};

pub use super::rejection::Rejection;
pub use group::{BatchConflict, CarriedState, Group, Item};
use raw_item::{ParsedItem, RawItem, named_creates};

/// The sender of a batch, and the catalog that applies to it.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The authenticated caller of the request.
    pub principal: &'a Principal,
    /// The device id that the client sent.
    pub device_id: &'a str,
    /// The author under which rows record the device.
    pub author: &'a Author,
    /// The resource types of the deployment.
    pub catalog: &'a Catalog,
    /// Whether an admin replays the batch (§7). The device has dropped the batch, so a replayed
    /// edit is a new change for it.
    pub is_replay: bool,
}

/// A valid edit that can be decided.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The index of the item in the batch.
    pub index: usize,
    /// The `client_temp_id` as sent.
    pub client_temp_id: Option<String>,
    /// The kind of change that the edit makes.
    pub action: Action,
    /// The content of a create or the patch of an update, without `id`.
    pub payload: Json,
    /// Identifies the edit among all edits of its resource (§3.3).
    pub id: EditId,
    /// Digest of the canonical payload. The row of a created resource stores it.
    pub digest: [u8; 16],
    /// The `client_version` as sent (§3.3).
    pub client_version: u64,
    /// The `base_version` as sent (§3.3).
    pub base_version: Option<u64>,
    /// The fields of the payload whose text may be a temp id.
    pub references: Vec<Reference>,
    /// The media keys that the payload names.
    pub media: Vec<String>,
    /// Whether references in the payload were replaced, so that the stored payload differs from the
    /// one sent.
    pub is_rewritten: bool,
    /// Whether the edit is a create that requests an id which may be derived for another device's
    /// create (§3.1).
    pub takes_derived_id: bool,
}

/// A parsed batch of items.
#[derive(Debug)]
pub struct Intake {
    /// The groups, one for each resource, in the order of their first items.
    pub groups: Vec<Group>,
    /// Results of items whose resource cannot be determined.
    pub rejected: Vec<ItemResult>,
    /// The creates that have a temp id, invalid ones included.
    pub creates: Vec<Create>,
}

/// Parses the items of a batch and groups them by resource.
pub fn read(items: &[Json], sender: Sender<'_>) -> Intake {
    let sent: Vec<RawItem> = items.iter().map(|item| RawItem::read(item)).collect();
    let named = named_creates(&sent, sender);
    let parsed: Vec<ParsedItem> = sent
        .into_iter()
        .enumerate()
        .map(|(index, sent)| sent.parse(index, &named, sender))
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
