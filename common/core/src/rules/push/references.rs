//! References (§3.10): in a field that refers to another resource, a `client_temp_id` is replaced
//! by the id that the server assigned to its create, in the same batch or in an earlier one. An
//! item that refers to a create that was not applied fails with it.

mod resolve;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    model::{
        catalog::{Catalog, ResourceType},
        channel::Channel,
        ids,
        json::Fields,
        limits::is_name,
        resource::ResourceKey,
        result::{ItemResult, Status},
    },
    rules::push::{
        edit::{Create, Reference, Sender, TempId},
        group::Group,
    },
};

pub use resolve::replace;

/// Returns the references in the `fields` of the item at `index`, whose type is `rules` and whose
/// channel is `channel`.
pub(super) fn find(
    index: usize,
    fields: &Fields,
    rules: &ResourceType,
    channel: &Channel,
    creates: &[Create],
    sender: Sender<'_>,
) -> Vec<Reference> {
    let references = rules.references.iter().filter_map(|(field, target_type)| {
        let name: String = serde_json::from_str(fields.get(field)?.get()).ok()?;
        let temp_id = TempId {
            resource_type: target_type.clone(),
            name,
        };
        let named = creates.iter().filter(|create| create.temp_id == temp_id);
        let (before, after): (Vec<&Create>, Vec<&Create>) =
            named.partition(|create| create.index <= index);
        let after = if before.is_empty() { after } else { Vec::new() };

        let is_made_here = before.iter().any(|create| create.is_sound);
        let earlier = if is_made_here {
            Vec::new()
        } else {
            earlier(&temp_id, channel, sender)
        };

        let [before, after] = [before, after].map(|creates| {
            creates
                .into_iter()
                .map(|create| create.index)
                .collect::<Vec<_>>()
        });

        let may_refer = !before.is_empty() || !after.is_empty() || !earlier.is_empty();
        may_refer.then(|| Reference {
            field: field.clone(),
            temp_id,
            before,
            after,
            earlier,
        })
    });
    references.collect()
}

/// Returns the keys under which an earlier create with this temp id may be stored: in the item's
/// own channel or in the default channel of the type. Returns none if the text cannot be a temp id
/// or is an id that the server derived.
fn earlier(temp_id: &TempId, channel: &Channel, sender: Sender<'_>) -> Vec<ResourceKey> {
    let TempId {
        resource_type,
        name,
    } = temp_id;
    let Some(rules) = sender.catalog.get(resource_type) else {
        return Vec::new();
    };
    if !is_name(name) || ids::is_derived(&rules.id_prefix, name) {
        return Vec::new();
    }

    let mut channels = vec![channel.clone()];
    channels.extend(
        rules
            .default_channel(&sender.principal.user)
            .filter(|default| default != channel),
    );

    let key = |channel: Channel| {
        let tenant = &sender.principal.tenant;
        let id = ids::derived_resource(
            &rules.id_prefix,
            tenant,
            &channel,
            sender.author,
            resource_type,
            name,
        );
        ResourceKey {
            channel,
            resource_type: resource_type.clone(),
            id,
        }
    };

    channels.into_iter().map(key).collect()
}

/// Returns the references of `groups` that may be to creates of earlier batches. The caller has to
/// look these creates up before it calls [`replace`].
///
/// See the example of [`any`].
pub fn to_earlier_batches(groups: &[Group]) -> impl Iterator<Item = &Reference> {
    groups
        .iter()
        .flat_map(Group::edits)
        .flat_map(|edit| &edit.references)
        .filter(|reference| !reference.earlier.is_empty())
}

/// Returns whether any edit in `groups` may refer to another resource.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use serde_json::json;
/// use tidemark_core::rules::push::references::{any, to_earlier_batches};
///
/// let phone = phone::Phone::new();
/// let meter = || json!({"action": "create", "client_temp_id": "tmp-1", "payload": {}});
/// let reading = || {
///     let payload = json!({"id": "r-1", "meter": "tmp-1"});
///     json!({"resource_type": "reading", "action": "create", "payload": payload})
/// };
/// assert!(!any(&phone.batch([meter()]).groups));
///
/// // Without the meter, the reading may refer to a create of an earlier batch.
/// let [both, alone] = [phone.batch([meter(), reading()]), phone.batch([reading()])];
/// assert!(any(&both.groups) && any(&alone.groups));
/// assert_eq!(to_earlier_batches(&both.groups).count(), 0);
/// assert_eq!(to_earlier_batches(&alone.groups).next().unwrap().temp_id.name, "tmp-1");
/// ```
pub fn any(groups: &[Group]) -> bool {
    groups
        .iter()
        .flat_map(Group::edits)
        .any(|edit| !edit.references.is_empty())
}

/// Returns whether every create that `group` refers to has a result in `results` or is part of the
/// group.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::BTreeMap;
/// use serde_json::json;
/// use tidemark_core::{model::result::ItemResult, rules::push::references::is_ready};
///
/// let intake = phone::Phone::new().batch([
///     json!({"action": "create", "client_temp_id": "tmp-1", "payload": {}}),
///     json!({"resource_type": "reading", "action": "create",
///         "payload": {"id": "r-1", "meter": "tmp-1"}}),
/// ]);
/// // The reading waits until the result of the meter is known.
/// let reading = &intake.groups[1];
/// assert!(!is_ready(reading, &BTreeMap::new()));
///
/// let made = ItemResult::ok(0, None, "m-1".into(), Some(1));
/// assert!(is_ready(reading, &BTreeMap::from([(0, made)])));
/// ```
pub fn is_ready(group: &Group, results: &BTreeMap<usize, ItemResult>) -> bool {
    let is_known =
        |index: &usize| results.contains_key(index) || group.indexes().any(|own| own == *index);
    let references = group.edits().flat_map(|edit| &edit.references);
    references
        .flat_map(|reference| reference.before.iter().chain(&reference.after))
        .all(is_known)
}

/// The known state of creates of earlier batches that references may name.
#[derive(Debug, Default)]
pub struct EarlierCreates {
    /// The resources that exist.
    pub made: HashSet<ResourceKey>,
    /// The resources that do not exist because their create conflicts, and whether that conflict is
    /// still open.
    pub rejected: HashMap<ResourceKey, bool>,
    /// The creates whose last attempt failed with an error, and whether the error was retryable.
    pub failed: HashMap<TempId, bool>,
}

/// Returns the temp ids whose creates failed with an error, and whether the error is retryable. An
/// item of a later batch that refers to one of them must not be stored with the temp id. Only types
/// that a type of the catalog refers to are included. A temp id is left out if another create of
/// the batch succeeded with it. If several failed, the last error counts.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::BTreeMap;
/// use serde_json::json;
/// use tidemark_core::{
///     model::result::{ItemCode, Rejection},
///     rules::push::references::failed_creates,
/// };
///
/// let phone = phone::Phone::new();
/// let create = json!({"action": "create", "client_temp_id": "tmp-1", "payload": {}});
/// let creates = phone.batch([create]).creates;
///
/// // The create failed with a retryable error, so readings of the meter have to wait for it.
/// let rejection = Rejection::new(ItemCode::Contended, "send the item again");
/// let result = rejection.into_result(0, Some("tmp-1".into()), None, true);
/// let failed = failed_creates(&creates, &BTreeMap::from([(0, result)]), &phone.catalog);
/// assert_eq!(failed, BTreeMap::from([(creates[0].temp_id.clone(), true)]));
/// ```
pub fn failed_creates(
    creates: &[Create],
    results: &BTreeMap<usize, ItemResult>,
    catalog: &Catalog,
) -> BTreeMap<TempId, bool> {
    let with_result = |create: &Create| Some((create.temp_id.clone(), results.get(&create.index)?));
    let may_be_referred_to = |create: &&Create| {
        !create.is_named && catalog.is_referred_to(&create.temp_id.resource_type)
    };

    let with_result: Vec<_> = creates
        .iter()
        .filter(may_be_referred_to)
        .filter_map(with_result)
        .collect();

    let (failed, others): (Vec<_>, Vec<_>) = with_result
        .into_iter()
        .partition(|(_, result)| result.status == Status::Error);
    let others: HashSet<TempId> = others.into_iter().map(|(temp_id, _)| temp_id).collect();

    let failed = failed
        .into_iter()
        .filter(|(temp_id, _)| !others.contains(temp_id));
    failed
        .map(|(temp_id, result)| (temp_id, result.is_retryable()))
        .collect()
}
