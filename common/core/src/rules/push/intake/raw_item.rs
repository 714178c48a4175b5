//! An item as sent: parses it by itself (§3.7) and determines its resource (§3.1).

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{Edit, Rejection, Sender};
use crate::{
    model::{
        catalog::ResourceType,
        channel::Channel,
        ids,
        json::{self, Content, Fields, Json, JsonError},
        limits::is_name,
        resource::{EditId, ResourceKey},
    },
    rules::push::{
        bounds::{check_size, invalid_item},
        references::{Create, TempId},
    },
    wire::{
        Action,
        push::{ItemCode, PushItem},
    },
};

/// An item as sent. An invalid item has the fields that could be parsed.
pub(super) struct RawItem {
    /// The `client_temp_id`, if it is valid.
    temp_id: Option<String>,
    resource_type: Option<String>,
    channel: Option<String>,
    is_create: bool,
    /// The payload of a valid item.
    payload: Option<Json>,
    /// The fields of the payload, if it is an object.
    fields: Option<Fields>,
    /// The remaining parts of an edit, or the reason why the item is invalid.
    made: Result<ActionAndBase, Rejection>,
}

/// The action of an edit and the versions it was made on.
#[derive(Clone, Copy)]
struct ActionAndBase {
    action: Action,
    client_version: u64,
    base_version: Option<u64>,
}

/// The resource and the edit of an item, each determined by itself.
pub(super) struct ParsedItem {
    /// The `client_temp_id`, if it is valid.
    pub(super) temp_id: Option<String>,
    /// The temp id that the item defines, if it is a create, and whether it requests an explicit
    /// id.
    created: Option<(TempId, bool)>,
    /// The resource that the item is about.
    pub(super) key: Result<ResourceKey, Rejection>,
    /// The edit with the fields of its payload.
    pub(super) edit: Result<(Edit, Fields), Rejection>,
}

/// The resources of the batch's creates that request an explicit id, by their temp id, so that
/// later items can refer to them.
pub(super) type NamedCreates = HashMap<String, Vec<ResourceKey>>;

pub(super) fn named_creates(sent: &[RawItem], sender: Sender<'_>) -> NamedCreates {
    let mut named = NamedCreates::new();
    for sent in sent.iter().filter(|sent| sent.is_create) {
        if let Some(Ok(id)) = sent.id()
            && let Some(temp_id) = &sent.temp_id
            && let Ok((name, _, channel)) = sent.type_and_channel(sender)
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

impl ParsedItem {
    /// Returns the create that other items may refer to, if the item at `index` is a create with a
    /// temp id.
    pub(super) fn create(&self, index: usize) -> Option<Create> {
        let (temp_id, is_named) = self.created.clone()?;
        Some(Create {
            temp_id,
            index,
            is_sound: self.key.is_ok() && self.edit.is_ok(),
            is_named,
        })
    }
}

impl RawItem {
    pub(super) fn read(item: &RawValue) -> Self {
        // Accepts only an object: serde would also deserialize a list of the values.
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

    /// Determines the resource and the edit of the item at `index`. `named` contains the creates of
    /// the batch that request an explicit id.
    pub(super) fn parse(
        self,
        index: usize,
        named: &NamedCreates,
        sender: Sender<'_>,
    ) -> ParsedItem {
        ParsedItem {
            temp_id: self.temp_id.clone(),
            created: self.creates().map(|temp_id| (temp_id, self.id().is_some())),
            key: self.resource_key(sender, named),
            edit: self.edit(index, sender),
        }
    }

    /// Reads the valid fields of an invalid item.
    fn broken(item: &RawValue) -> Self {
        let mut deserializer = serde_json::Deserializer::from_str(item.get());
        let (rejection, members) = match (
            json::fields(item),
            serde_path_to_error::deserialize::<_, PushItem>(&mut deserializer),
        ) {
            (Some(members), Err(error)) => (invalid_item(error.path(), error.inner()), members),
            // The item is an object with a key that is not valid text.
            (None, Err(error)) if item.get().starts_with('{') => {
                (invalid_item(error.path(), error.inner()), Fields::new())
            }
            (members, _) => (
                Rejection::new(ItemCode::InvalidItem, "an item must be a JSON object"),
                members.unwrap_or_default(),
            ),
        };

        let text = |field: &str| serde_json::from_str::<String>(members.get(field)?.get()).ok();
        Self {
            temp_id: text("client_temp_id").filter(|id| is_name(id)),
            resource_type: text("resource_type"),
            channel: text("channel"),
            is_create: text("action").as_deref() == Some(Action::Create.as_str()),
            fields: members
                .get("payload")
                .and_then(|payload| json::fields(payload)),
            payload: None,
            made: Err(rejection),
        }
    }

    /// Returns the temp id that the item defines, if it is a create.
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

    /// Returns `payload.id`, if it is present and not `null`.
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

    fn type_and_channel<'a>(
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
                let error = format!("channel: {text:?} must be tenant, user/<sub> or group/<name>");
                Rejection::new(ItemCode::InvalidChannel, error)
            })?,
            None => resource_type
                .default_channel(&sender.principal.user)
                .ok_or_else(|| {
                    let error = format!(
                        "channel: missing; an item of type {name} must name its group channel"
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
        let (resource_type, rules, channel) = self.type_and_channel(sender)?;
        let resource_type = resource_type.to_owned();
        let id = match (self.id(), &self.temp_id) {
            // A create with an invalid id is rejected; later items that refer to it by its temp id
            // depend on it.
            (Some(id), None) => id?,
            (Some(Ok(id)), _) => id,
            (None | Some(Err(_)), Some(temp_id)) => {
                let mut candidates = named.get(temp_id).into_iter().flatten();
                match candidates
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

    /// Returns the edit and the fields of its payload.
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

    /// Returns the content of the payload after checking its size.
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
