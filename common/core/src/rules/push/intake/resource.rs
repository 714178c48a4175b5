//! The resource that an item is about (§3.1).

use std::collections::HashMap;

use crate::{
    model::{
        catalog::ResourceType,
        channel::Channel,
        edit::SentItem,
        ids, json,
        limits::is_name,
        resource::ResourceKey,
        result::{ItemCode, Rejection},
    },
    rules::push::edit::Sender,
};

/// The resources of the batch's creates that request an explicit id, by their temp id, so that
/// later items can refer to them.
pub(super) type NamedCreates = HashMap<String, Vec<ResourceKey>>;

/// Returns the resources of the creates in `sent` that request an explicit id.
pub(super) fn named_creates(sent: &[SentItem], sender: Sender<'_>) -> NamedCreates {
    let mut named = NamedCreates::new();
    for sent in sent.iter().filter(|sent| sent.is_create) {
        if let Some(Ok(id)) = payload_id(sent)
            && let Some(temp_id) = &sent.client_temp_id
            && let Ok((name, _, channel)) = type_and_channel(sent, sender)
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

/// Returns the key of the resource that the item is about. `named` contains the creates of the
/// batch that request an explicit id.
pub(super) fn resource_key(
    item: &SentItem,
    sender: Sender<'_>,
    named: &NamedCreates,
) -> Result<ResourceKey, Rejection> {
    let (resource_type, rules, channel) = type_and_channel(item, sender)?;
    let resource_type = resource_type.to_owned();
    let id = match (payload_id(item), &item.client_temp_id) {
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

/// Returns `payload.id`, if it is present and not `null`.
pub(super) fn payload_id(item: &SentItem) -> Option<Result<String, Rejection>> {
    let id = item.fields.as_ref()?.get("id")?;
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

/// Returns the name of the item's type, the type, and the channel of the item.
fn type_and_channel<'i, 'c>(
    item: &'i SentItem,
    sender: Sender<'c>,
) -> Result<(&'i str, &'c ResourceType, Channel), Rejection> {
    let name = item.resource_type.as_deref().unwrap_or_default();
    let Some(resource_type) = sender.catalog.get(name) else {
        return Err(Rejection::new(
            ItemCode::UnknownType,
            format!("resource_type: the catalog has no type {name:?}"),
        ));
    };

    let channel = match &item.channel {
        Some(text) => Channel::parse(text).ok_or_else(|| {
            let error = format!("channel: {text:?} must be tenant, user/<sub> or group/<name>");
            Rejection::new(ItemCode::InvalidChannel, error)
        })?,
        None => resource_type
            .default_channel(&sender.principal.user)
            .ok_or_else(|| {
                let error =
                    format!("channel: missing; an item of type {name} must name its group channel");
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
