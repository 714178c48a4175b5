//! From what was sent to edits: each item is read by itself (§3.7), finds the resource it is about (§3.1), and is checked against the
//! bounds (§2). Nothing here looks at stored rows.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{
    media,
    references::{self, Create, Reference},
};
use crate::{
    catalog::{Catalog, ResourceType},
    channel::Channel,
    ids,
    json::{self, Fields, Json, JsonError},
    limits::{NESTING_MAX, PAYLOAD_BYTES_MAX, PAYLOAD_FIELDS_MAX, VERSION_MAX, is_name, sentence},
    principal::{Author, Principal},
    protocol::{
        Action,
        push::{ItemCode, ItemResult, PushItem, Status},
    },
    resource::{EditId, ResourceKey},
};

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
    /// An admin runs the batch again (§7). What is applied then is news to the device, which has given up on it.
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
}

/// An item of a group.
#[derive(Debug, Clone)]
pub enum Item {
    /// To be decided.
    Edit(Edit),
    /// Refused as it stands; what follows on its resource depends on it.
    Refused(ItemResult),
}

/// The items of a batch about one resource, in their order.
#[derive(Debug, Clone)]
pub struct Group {
    /// The resource.
    pub key: ResourceKey,
    /// One or more.
    pub items: Vec<Item>,
}

impl Item {
    /// Which item of the batch it is.
    pub fn index(&self) -> usize {
        match self {
            Self::Edit(edit) => edit.index,
            Self::Refused(answer) => answer.index,
        }
    }
}

impl Group {
    /// Whether it begins with a create: then there is no row, as long as nobody has sent it before.
    pub fn begins_with_create(&self) -> bool {
        matches!(self.items.first(), Some(Item::Edit(Edit { action: Action::Create, .. })))
    }

    /// Which items of the batch these are.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        self.items.iter().map(Item::index)
    }

    /// The answers that refuse every edit of the group for now: sent again, unchanged, they may succeed.
    pub fn refused_for_now(&self, refusal: Refusal) -> impl Iterator<Item = ItemResult> {
        self.items.iter().map(move |item| match item {
            Item::Edit(edit) => refusal.clone().answer(edit.index, edit.client_temp_id.clone(), Some(self.key.id.clone()), true),
            Item::Refused(answer) => answer.clone(),
        })
    }
}

/// A batch, read.
#[derive(Debug, Default)]
pub struct Intake {
    /// By resource, in the order they appear.
    pub groups: Vec<Group>,
    /// Answers to items that are about no resource that could be told.
    pub refused: Vec<ItemResult>,
}

/// Why an item is refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// For programs.
    pub code: ItemCode,
    /// For people.
    pub error: String,
}

impl Refusal {
    /// For programs, and for people.
    pub fn new(code: ItemCode, error: impl Into<String>) -> Self {
        Self { code, error: sentence(error) }
    }

    /// The answer that says so.
    pub fn answer(self, index: usize, client_temp_id: Option<String>, server_id: Option<String>, retryable: bool) -> ItemResult {
        ItemResult {
            status: Status::Error,
            server_id,
            code: Some(self.code),
            error: Some(self.error),
            retryable: Some(retryable),
            ..ItemResult::ok(index, client_temp_id, String::new(), None)
        }
    }
}

/// Reads the items of a batch.
pub fn read(items: &[Json], sender: Sender<'_>) -> Intake {
    let sent: Vec<Sent> = items.iter().map(|item| Sent::read(item)).collect();
    let (named, creates) = (named_creates(&sent, sender), creates(&sent));
    let mut intake = Intake::default();
    let mut positions: HashMap<ResourceKey, usize> = HashMap::new();
    for (index, sent) in sent.iter().enumerate() {
        let refused = |refusal: Refusal, server_id| refusal.answer(index, sent.temp_id(), server_id, false);
        match (sent.resource_key(sender, &named), sent.edit(index, sender)) {
            (Ok(key), edit) => {
                let item = match edit.and_then(|edit| edit.with_links(&key, &creates, sender)) {
                    Ok(edit) => Item::Edit(edit),
                    Err(refusal) => {
                        let server_id = if refusal.code == ItemCode::InvalidId { None } else { Some(key.id.clone()) };
                        Item::Refused(refused(refusal, server_id))
                    }
                };
                let position = *positions.entry(key.clone()).or_insert_with(|| {
                    intake.groups.push(Group { key, items: Vec::new() });
                    intake.groups.len() - 1
                });
                intake.groups[position].items.push(item);
            }
            (Err(refusal), Ok(_)) | (Err(_), Err(refusal)) => intake.refused.push(refused(refusal, None)),
        }
    }
    intake
}

/// Ids that creates of this batch ask for, by what later items may call them.
type NamedCreates = HashMap<(Channel, String, String), String>;

fn named_creates(sent: &[Sent], sender: Sender<'_>) -> NamedCreates {
    let mut named = NamedCreates::new();
    for sent in sent {
        if let Some(Ok(id)) = sent.id()
            && sent.text("action").as_deref() == Some(Action::Create.as_str())
            && let Some(temp_id) = sent.temp_id()
            && let Ok((name, _, channel)) = sent.place(sender)
        {
            named.entry((channel, name, temp_id)).or_insert(id);
        }
    }
    named
}

/// The creates of this batch that have a temp id, broken ones too.
fn creates(sent: &[Sent]) -> Vec<Create> {
    let creates = sent.iter().enumerate().filter(|(_, sent)| sent.text("action").as_deref() == Some(Action::Create.as_str()));
    let create = |(index, sent): (usize, &Sent)| {
        Some(Create { resource_type: sent.text("resource_type")?, temp_id: sent.temp_id()?, index })
    };
    creates.filter_map(create).collect()
}

impl Edit {
    /// The edit with what its payload refers to.
    fn with_links(self, key: &ResourceKey, creates: &[Create], sender: Sender<'_>) -> Result<Self, Refusal> {
        let Some(rules) = sender.catalog.get(&key.resource_type) else { return Ok(self) };
        let references = references::find(&self.payload, rules, &key.channel, creates, sender);
        let media = if self.action == Action::Delete { Vec::new() } else { media::keys(&self.payload, rules)? };
        Ok(Self { references, media, ..self })
    }
}

/// An item as sent: its fields for whatever can be told of it, and its strict reading.
struct Sent {
    fields: Fields,
    payload: Option<Fields>,
    item: Result<PushItem, Refusal>,
}

impl Sent {
    fn read(item: &RawValue) -> Self {
        let Some(fields) = json::fields(item) else {
            let refusal = Refusal::new(ItemCode::InvalidItem, "an item must be a JSON object");
            return Self { fields: Fields::new(), payload: None, item: Err(refusal) };
        };
        let mut deserializer = serde_json::Deserializer::from_str(item.get());
        let strict: Result<PushItem, _> = serde_path_to_error::deserialize(&mut deserializer);
        let payload = fields.get("payload").and_then(|payload| json::fields(payload));
        Self { payload, fields, item: strict.map_err(|error| invalid_item(error.path(), error.inner())) }
    }

    fn text(&self, field: &str) -> Option<String> {
        serde_json::from_str(self.fields.get(field)?.get()).ok()
    }

    /// `client_temp_id`, when it is one.
    fn temp_id(&self) -> Option<String> {
        self.text("client_temp_id").filter(|id| is_name(id))
    }

    /// `payload.id`, when there is one other than `null`.
    fn id(&self) -> Option<Result<String, Refusal>> {
        let id = self.payload.as_ref()?.get("id")?;
        if id.get() == "null" {
            return None;
        }
        let id = serde_json::from_str::<String>(id.get()).ok().filter(|id| is_name(id));
        Some(id.ok_or_else(|| Refusal::new(ItemCode::InvalidId, "payload.id: must be text of 1 to 256 bytes")))
    }

    fn place<'a>(&self, sender: Sender<'a>) -> Result<(String, &'a ResourceType, Channel), Refusal> {
        let name = self.text("resource_type").unwrap_or_default();
        let Some(resource_type) = sender.catalog.get(&name) else {
            return Err(Refusal::new(ItemCode::UnknownType, format!("resource_type: the catalog has no type {name:?}")));
        };
        let channel = match self.text("channel") {
            Some(text) => Channel::parse(&text).ok_or_else(|| {
                let error = format!("channel: {text:?} is none of tenant, user/<sub>, group/<name>");
                Refusal::new(ItemCode::InvalidChannel, error)
            })?,
            None => resource_type.default_channel(&sender.principal.user).ok_or_else(|| {
                let error = format!("channel: an item of type {name} names the group channel it lives in");
                Refusal::new(ItemCode::ChannelRequired, error)
            })?,
        };
        if !sender.principal.may_use(&channel) {
            return Err(Refusal::new(ItemCode::ChannelForbidden, format!("channel: you may not use {channel}")));
        }
        Ok((name, resource_type, channel))
    }

    fn resource_key(&self, sender: Sender<'_>, named: &NamedCreates) -> Result<ResourceKey, Refusal> {
        let (resource_type, rules, channel) = self.place(sender)?;
        let id = match (self.id(), self.temp_id()) {
            // A create with an impossible id is refused; what follows it by its temp id depends on it.
            (Some(id), None) => id?,
            (Some(Ok(id)), _) => id,
            (None | Some(Err(_)), Some(temp_id)) => match named.get(&(channel.clone(), resource_type.clone(), temp_id.clone())) {
                Some(id) => id.clone(),
                None => {
                    let tenant = &sender.principal.tenant;
                    ids::derived_resource(&rules.id_prefix, tenant, &channel, sender.author, &resource_type, &temp_id)
                }
            },
            (None, None) => {
                let error = "payload.id: name the resource by payload.id or by client_temp_id";
                return Err(Refusal::new(ItemCode::IdRequired, error));
            }
        };
        Ok(ResourceKey { channel, resource_type, id })
    }

    fn edit(&self, index: usize, sender: Sender<'_>) -> Result<Edit, Refusal> {
        let item = self.item.clone()?;
        if item.client_version > VERSION_MAX || item.base_version.is_some_and(|base| base > VERSION_MAX) {
            return Err(Refusal::new(ItemCode::InvalidItem, format!("a version is at most {VERSION_MAX}")));
        }
        if let Some(Err(refusal)) = self.id() {
            return Err(refusal);
        }
        let (payload, canonical) = self.checked_payload(&item)?;
        let version = item.client_version.to_be_bytes();
        let action = item.action.as_str().as_bytes();
        let identity = json::digest(&[sender.author.as_str().as_bytes(), &version, action, canonical.as_bytes()]);
        Ok(Edit {
            index,
            client_temp_id: item.client_temp_id,
            action: item.action,
            payload,
            id: EditId(u64::from_be_bytes(first(&identity))),
            digest: first(&json::digest(&[canonical.as_bytes()])),
            client_version: item.client_version,
            base_version: item.base_version,
            references: Vec::new(),
            media: Vec::new(),
            is_rewritten: false,
        })
    }

    /// The payload without its `id`, and its canonical text.
    fn checked_payload(&self, item: &PushItem) -> Result<(Json, String), Refusal> {
        let Some(payload) = &item.payload else {
            if item.action == Action::Delete {
                return Ok((json::object(&Fields::new()), "{}".to_owned()));
            }
            return Err(Refusal::new(ItemCode::InvalidItem, "payload: missing"));
        };
        let Some(fields) = &self.payload else {
            return Err(Refusal::new(ItemCode::InvalidPayload, "payload: must be a JSON object"));
        };
        check_size(payload, fields)?;
        let payload = if fields.contains_key("id") {
            let mut fields = fields.clone();
            fields.shift_remove("id");
            json::object(&fields)
        } else {
            payload.clone()
        };
        let canonical = json::canonical(&payload).map_err(|error| match error {
            JsonError::TooDeep => Refusal::new(ItemCode::PayloadTooDeep, format!("payload: nested over {NESTING_MAX} deep")),
            malformed @ JsonError::Malformed(_) => Refusal::new(ItemCode::InvalidPayload, format!("payload: {malformed}")),
        })?;
        Ok((payload, canonical))
    }
}

/// Checks a payload, as sent or as it would be stored, against the bounds of §2.
pub(crate) fn check_size(payload: &RawValue, fields: &Fields) -> Result<(), Refusal> {
    if payload.get().len() > PAYLOAD_BYTES_MAX {
        let error = format!("payload: {} bytes, at most {PAYLOAD_BYTES_MAX} are stored", payload.get().len());
        return Err(Refusal::new(ItemCode::PayloadTooLarge, error));
    }
    if fields.len() > PAYLOAD_FIELDS_MAX {
        let error = format!("payload: {} top-level fields, at most {PAYLOAD_FIELDS_MAX}", fields.len());
        return Err(Refusal::new(ItemCode::TooManyFields, error));
    }
    Ok(())
}

fn invalid_item(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Refusal {
    let place = if path.iter().next().is_none() { String::new() } else { format!("{path}: ") };
    Refusal::new(ItemCode::InvalidItem, format!("{place}{error}"))
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| digest[index])
}
