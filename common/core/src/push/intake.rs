//! From what was sent to edits: each item is read by itself (§3.7), finds the resource it is about
//! (§3.1), and is checked against the bounds (§2). Nothing here looks at stored rows.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::{
    bounds::{check_size, invalid_item},
    media,
    references::{self, Create, Reference, TempId},
};
use crate::{
    catalog::{Catalog, ResourceType},
    channel::Channel,
    ids,
    json::{self, Content, Fields, Json, JsonError},
    limits::is_name,
    principal::{Author, Principal},
    protocol::{
        Action,
        push::{ItemCode, ItemResult, PushItem},
    },
    resource::{EditId, ResourceKey},
};

pub use super::rejection::Rejection;

/// Who sends a batch, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The caller.
    pub principal: &'a Principal,
    /// Their device, as they call it.
    pub device_id: &'a str,
    /// Their device, as rows remember it.
    pub author: &'a Author,
    /// The types of the deployment.
    pub catalog: &'a Catalog,
    /// An admin runs the batch again (§7). What is applied then is news to the device, which has
    /// given up on it.
    pub is_replay: bool,
}

/// An edit that may be decided.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Which item of the batch.
    pub index: usize,
    /// As sent.
    pub client_temp_id: Option<String>,
    /// What it does.
    pub action: Action,
    /// Content or patch, without `id`.
    pub payload: Json,
    /// Tells it from every other edit of its resource.
    pub id: EditId,
    /// Digest of the canonical payload, kept by the row a create makes.
    pub digest: [u8; 16],
    /// As sent (§3.3).
    pub client_version: u64,
    /// As sent (§3.3).
    pub base_version: Option<u64>,
    /// Fields of the payload whose text may be a temp id.
    pub references: Vec<Reference>,
    /// Media keys that the payload names.
    pub media: Vec<String>,
    /// References in the payload were replaced: what is stored is not what was sent.
    pub is_rewritten: bool,
    /// A create that asks for an id which may be derived for another device's create (§3.1).
    pub takes_derived_id: bool,
}

/// An item of a group.
#[derive(Debug, Clone)]
pub enum Item {
    /// To be decided.
    Edit(Edit),
    /// Refused as it stands; what follows on its resource depends on it.
    Rejected(ItemResult),
}

/// The items of a batch about one resource, in their order.
#[derive(Debug, Clone)]
pub struct Group {
    /// The resource.
    pub key: ResourceKey,
    /// One or more.
    pub items: Vec<Item>,
    /// What its earlier items left behind, if those were decided before these (§3.9).
    pub carried: CarriedState,
}

/// What the items of a group that were decided already mean for the rest of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarriedState {
    /// The conflict of an item that was made on an older version: what follows was made on the same
    /// copy (§3.5).
    pub conflicted: Option<BatchConflict>,
    /// An item failed with an error; whether one that did may succeed when it is sent again.
    pub failed: Option<bool>,
    /// Edits of the batch that the row remembers.
    pub recorded: usize,
}

/// A conflict that an item of the batch is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchConflict {
    /// Which.
    pub id: String,
    /// What the first item in it was made on, as sent.
    pub base_version: Option<u64>,
}

impl Item {
    /// Which item of the batch it is.
    pub fn index(&self) -> usize {
        match self {
            Self::Edit(edit) => edit.index,
            Self::Rejected(response) => response.index,
        }
    }
}

impl Group {
    /// Whether it begins with a create: then there is no row, as long as nobody has sent it before.
    pub fn begins_with_create(&self) -> bool {
        matches!(
            self.items.first(),
            Some(Item::Edit(Edit {
                action: Action::Create,
                ..
            }))
        )
    }

    /// Which items of the batch these are.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        self.items.iter().map(Item::index)
    }

    /// Its edits: the items that are not refused already.
    pub fn edits(&self) -> impl Iterator<Item = &Edit> {
        self.items.iter().filter_map(|item| {
            if let Item::Edit(edit) = item {
                Some(edit)
            } else {
                None
            }
        })
    }

    /// The answers that refuse every edit of the group for now: sent again, unchanged, they may
    /// succeed.
    pub fn rejected_for_now(&self, rejection: Rejection) -> impl Iterator<Item = ItemResult> {
        self.items.iter().map(move |item| match item {
            Item::Edit(edit) => rejection.clone().response(
                edit.index,
                edit.client_temp_id.clone(),
                Some(self.key.id.clone()),
                true,
            ),
            Item::Rejected(response) => response.clone(),
        })
    }
}

/// A batch, read.
#[derive(Debug)]
pub struct Intake {
    /// By resource, in the order they appear.
    pub groups: Vec<Group>,
    /// Answers to items that are about no resource that could be told.
    pub rejected: Vec<ItemResult>,
    /// The creates that have a temp id, broken ones too.
    pub creates: Vec<Create>,
}

/// Reads the items of a batch.
pub fn read(items: &[Json], sender: Sender<'_>) -> Intake {
    let sent: Vec<RawItem> = items.iter().map(|item| RawItem::read(item)).collect();
    let named = named_creates(&sent, sender);
    let keys: Vec<_> = sent
        .iter()
        .map(|sent| sent.resource_key(sender, &named))
        .collect();
    let temp_ids: Vec<_> = sent.iter().map(|sent| sent.temp_id.clone()).collect();
    let created: Vec<_> = sent
        .iter()
        .map(|sent| sent.creates().map(|temp_id| (temp_id, sent.id().is_some())))
        .collect();
    let edits: Vec<_> = sent
        .into_iter()
        .enumerate()
        .map(|(index, sent)| sent.edit(index, sender))
        .collect();
    let create = |(index, created): (usize, Option<(TempId, bool)>)| {
        let (temp_id, is_named) = created?;
        let is_sound = keys.get(index).is_some_and(Result::is_ok)
            && edits.get(index).is_some_and(Result::is_ok);
        Some(Create {
            temp_id,
            index,
            is_sound,
            is_named,
        })
    };
    let creates: Vec<Create> = created.into_iter().enumerate().filter_map(create).collect();
    let mut responses = Vec::new();
    let mut groups: IndexMap<ResourceKey, Vec<Item>> = IndexMap::new();
    for (index, ((key, edit), temp_id)) in keys.into_iter().zip(edits).zip(temp_ids).enumerate() {
        let rejected = |rejection: Rejection, server_id| {
            rejection.response(index, temp_id.clone(), server_id, false)
        };
        match (key, edit) {
            (Ok(key), edit) => {
                let item = match edit
                    .and_then(|(edit, fields)| edit.with_links(&fields, &key, &creates, sender))
                {
                    Ok(edit) => Item::Edit(edit),
                    Err(rejection) => {
                        let server_id = if rejection.code == ItemCode::InvalidId {
                            None
                        } else {
                            Some(key.id.clone())
                        };
                        Item::Rejected(rejected(rejection, server_id))
                    }
                };
                groups.entry(key).or_default().push(item);
            }
            (Err(rejection), Ok(_)) | (Err(_), Err(rejection)) => {
                responses.push(rejected(rejection, None))
            }
        }
    }
    Intake {
        groups: groups
            .into_iter()
            .map(|(key, items)| Group {
                key,
                items,
                carried: CarriedState::default(),
            })
            .collect(),
        rejected: responses,
        creates,
    }
}

/// What creates of this batch make that ask for an id, by the temp id that later items may call it.
type NamedCreates = HashMap<String, Vec<ResourceKey>>;

fn named_creates(sent: &[RawItem], sender: Sender<'_>) -> NamedCreates {
    let mut named = NamedCreates::new();
    for sent in sent.iter().filter(|sent| sent.is_create) {
        if let Some(Ok(id)) = sent.id()
            && let Some(temp_id) = &sent.temp_id
            && let Ok((name, _, channel)) = sent.place(sender)
        {
            named.entry(temp_id.clone()).or_default().push(ResourceKey {
                channel,
                resource_type: name.to_owned(),
                id,
            });
        }
    }
    named
}

impl Edit {
    /// The edit with what the fields of its payload refer to.
    fn with_links(
        self,
        fields: &Fields,
        key: &ResourceKey,
        creates: &[Create],
        sender: Sender<'_>,
    ) -> Result<Self, Rejection> {
        let Some(rules) = sender.catalog.get(&key.resource_type) else {
            return Ok(self);
        };
        let mut references =
            references::find(self.index, fields, rules, &key.channel, creates, sender);
        // What is verified is what is stored: no id takes the place of a media key.
        references.retain(|reference| !rules.media.contains(&reference.field));
        let media = if self.action == Action::Delete {
            Vec::new()
        } else {
            media::keys(fields, rules)?
        };
        let takes_derived_id = self.action == Action::Create
            && takes_derived_id(self.client_temp_id.as_deref(), key, rules, sender);
        Ok(Self {
            references,
            media,
            takes_derived_id,
            ..self
        })
    }
}

/// Whether the id has the form that the server derives, and is not what this device's own temp id
/// derives to.
fn takes_derived_id(
    temp_id: Option<&str>,
    key: &ResourceKey,
    rules: &ResourceType,
    sender: Sender<'_>,
) -> bool {
    let ResourceKey {
        channel,
        resource_type,
        id,
    } = key;
    let derived = |temp_id: &str| {
        ids::derived_resource(
            &rules.id_prefix,
            &sender.principal.tenant,
            channel,
            sender.author,
            resource_type,
            temp_id,
        )
    };
    ids::may_be_derived(&rules.id_prefix, id)
        && temp_id.is_none_or(|temp_id| derived(temp_id) != *id)
}

/// An item as sent, with whatever can be told of one that is broken.
struct RawItem {
    /// `client_temp_id`, when it is one.
    temp_id: Option<String>,
    resource_type: Option<String>,
    channel: Option<String>,
    is_create: bool,
    /// Of a sound item.
    payload: Option<Json>,
    /// Those of the payload, when it is an object.
    fields: Option<Fields>,
    /// What else an edit has, or why this is none.
    made: Result<ActionAndBase, Rejection>,
}

/// What an edit does, and what it was made on.
#[derive(Clone, Copy)]
struct ActionAndBase {
    action: Action,
    client_version: u64,
    base_version: Option<u64>,
}

impl RawItem {
    fn read(item: &RawValue) -> Self {
        // Only an object is an item: serde would take a list of its values too.
        let sound = item
            .get()
            .starts_with('{')
            .then(|| serde_json::from_str::<PushItem>(item.get()));
        let Some(Ok(item)) = sound else {
            return Self::broken(item);
        };
        let PushItem {
            client_temp_id,
            resource_type,
            action,
            payload,
            client_version,
            base_version,
            channel,
        } = item;
        Self {
            temp_id: client_temp_id,
            resource_type: Some(resource_type),
            channel,
            is_create: action == Action::Create,
            fields: payload.as_deref().and_then(json::fields),
            payload,
            made: Ok(ActionAndBase {
                action,
                client_version,
                base_version,
            }),
        }
    }

    fn broken(item: &RawValue) -> Self {
        let mut deserializer = serde_json::Deserializer::from_str(item.get());
        let (rejection, said) = match (
            json::fields(item),
            serde_path_to_error::deserialize::<_, PushItem>(&mut deserializer),
        ) {
            (Some(said), Err(error)) => (invalid_item(error.path(), error.inner()), said),
            // An object one of whose own keys is no text.
            (None, Err(error)) if item.get().starts_with('{') => {
                (invalid_item(error.path(), error.inner()), Fields::new())
            }
            (said, _) => (
                Rejection::new(ItemCode::InvalidItem, "an item must be a JSON object"),
                said.unwrap_or_default(),
            ),
        };
        let text = |field: &str| serde_json::from_str::<String>(said.get(field)?.get()).ok();
        Self {
            temp_id: text("client_temp_id").filter(|id| is_name(id)),
            resource_type: text("resource_type"),
            channel: text("channel"),
            is_create: text("action").as_deref() == Some(Action::Create.as_str()),
            fields: said
                .get("payload")
                .and_then(|payload| json::fields(payload)),
            payload: None,
            made: Err(rejection),
        }
    }

    /// What a create is called by the device.
    fn creates(&self) -> Option<TempId> {
        let created = (self.resource_type.as_ref(), self.temp_id.as_ref());
        let (Some(resource_type), Some(name), true) = (created.0, created.1, self.is_create) else {
            return None;
        };
        Some(TempId {
            resource_type: resource_type.clone(),
            name: name.clone(),
        })
    }

    /// `payload.id`, when there is one other than `null`.
    fn id(&self) -> Option<Result<String, Rejection>> {
        let id = self.fields.as_ref()?.get("id")?;
        if id.get() == "null" {
            return None;
        }
        Some(match serde_json::from_str::<String>(id.get()) {
            Ok(id) if is_name(&id) => Ok(id),
            Err(error) if error.is_syntax() => Err(Rejection::new(
                ItemCode::InvalidId,
                format!("payload.id: {}", json::explain(&error)),
            )),
            _ => Err(Rejection::new(
                ItemCode::InvalidId,
                "payload.id: must be text of 1 to 256 bytes",
            )),
        })
    }

    fn place<'a>(
        &self,
        sender: Sender<'a>,
    ) -> Result<(&str, &'a ResourceType, Channel), Rejection> {
        let name = self.resource_type.as_deref().unwrap_or_default();
        let Some(resource_type) = sender.catalog.get(name) else {
            return Err(Rejection::new(
                ItemCode::UnknownType,
                format!("resource_type: the catalog has no type {name:?}"),
            ));
        };
        let channel = match &self.channel {
            Some(text) => Channel::parse(text).ok_or_else(|| {
                let error =
                    format!("channel: {text:?} is none of tenant, user/<sub>, group/<name>");
                Rejection::new(ItemCode::InvalidChannel, error)
            })?,
            None => resource_type
                .default_channel(&sender.principal.user)
                .ok_or_else(|| {
                    let error = format!(
                        "channel: an item of type {name} names the group channel it lives in"
                    );
                    Rejection::new(ItemCode::ChannelRequired, error)
                })?,
        };
        if !sender.principal.may_use(&channel) {
            return Err(Rejection::new(
                ItemCode::ChannelForbidden,
                format!("channel: you may not use {channel}"),
            ));
        }
        Ok((name, resource_type, channel))
    }

    fn resource_key(
        &self,
        sender: Sender<'_>,
        named: &NamedCreates,
    ) -> Result<ResourceKey, Rejection> {
        let (resource_type, rules, channel) = self.place(sender)?;
        let resource_type = resource_type.to_owned();
        let id = match (self.id(), &self.temp_id) {
            // A create with an impossible id is refused; what follows it by its temp id depends on
            // it.
            (Some(id), None) => id?,
            (Some(Ok(id)), _) => id,
            (None | Some(Err(_)), Some(temp_id)) => {
                let mut called = named.get(temp_id).into_iter().flatten();
                match called
                    .find(|key| key.channel == channel && key.resource_type == resource_type)
                {
                    Some(key) => key.id.clone(),
                    None => {
                        let tenant = &sender.principal.tenant;
                        ids::derived_resource(
                            &rules.id_prefix,
                            tenant,
                            &channel,
                            sender.author,
                            &resource_type,
                            temp_id,
                        )
                    }
                }
            }
            (None, None) => {
                let error = "payload.id: name the resource by payload.id or by client_temp_id";
                return Err(Rejection::new(ItemCode::IdRequired, error));
            }
        };
        Ok(ResourceKey {
            channel,
            resource_type,
            id,
        })
    }

    /// The edit, and the fields of its payload.
    fn edit(self, index: usize, sender: Sender<'_>) -> Result<(Edit, Fields), Rejection> {
        let ActionAndBase {
            action,
            client_version,
            base_version,
        } = self.made.clone()?;
        if let Some(Err(rejection)) = self.id() {
            return Err(rejection);
        }
        let client_temp_id = self.temp_id.clone();
        let Content {
            payload,
            fields,
            canonical,
        } = self.checked_payload(action)?;
        let digest = json::digest([canonical.as_bytes()]);
        let (author, version) = (
            sender.author.as_str().as_bytes(),
            client_version.to_be_bytes(),
        );
        let identity = json::digest([author, &version, action.as_str().as_bytes(), &digest]);
        let edit = Edit {
            index,
            client_temp_id,
            action,
            payload,
            id: EditId(u64::from_be_bytes(first(&identity))),
            digest: first(&digest),
            client_version,
            base_version,
            references: Vec::new(),
            media: Vec::new(),
            is_rewritten: false,
            takes_derived_id: false,
        };
        Ok((edit, fields))
    }

    /// What the payload says of its resource.
    fn checked_payload(self, action: Action) -> Result<Content, Rejection> {
        let (payload, fields) = match self.payload {
            Some(payload) => (payload, self.fields),
            None if action == Action::Delete => (json::object(&Fields::new()), Some(Fields::new())),
            None => return Err(Rejection::new(ItemCode::InvalidItem, "payload: missing")),
        };
        if let Some(fields) = &fields {
            check_size(&payload, fields)?;
        }
        Content::read(&payload, fields).map_err(|error| {
            let code = if error == JsonError::TooDeep {
                ItemCode::PayloadTooDeep
            } else {
                ItemCode::InvalidPayload
            };
            Rejection::new(code, format!("payload: {error}"))
        })
    }
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| digest[index])
}
