//! The resource and the edit of an item, each determined by itself (§3.7).

use serde_json::value::RawValue;

use crate::{
    model::{
        edit::{Action, SentEdit, SentItem},
        json::{self, Content, Fields, Json, JsonError},
        limits::WAS_BYTES_MAX,
        resource::{EditId, ResourceKey},
        result::{ItemCode, Rejection},
    },
    rules::push::{
        bounds::check_size,
        edit::{Create, Edit, Sender, TempId},
        intake::resource::{NamedCreates, payload_id, resource_key},
    },
};

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

impl ParsedItem {
    /// Determines the resource and the edit of the item at `index`. `named` contains the creates of
    /// the batch that request an explicit id.
    pub(super) fn new(
        item: SentItem,
        index: usize,
        named: &NamedCreates,
        sender: Sender<'_>,
    ) -> Self {
        Self {
            temp_id: item.client_temp_id.clone(),
            created: created(&item).map(|temp_id| (temp_id, payload_id(&item).is_some())),
            key: resource_key(&item, sender, named),
            edit: edit(item, index, sender),
        }
    }

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

/// Returns the temp id that the item defines, if it is a create.
fn created(item: &SentItem) -> Option<TempId> {
    let created = (item.resource_type.as_ref(), item.client_temp_id.as_ref());
    let (Some(resource_type), Some(name), true) = (created.0, created.1, item.is_create) else {
        return None;
    };
    Some(TempId {
        resource_type: resource_type.clone(),
        name: name.clone(),
    })
}

/// Returns the edit and the fields of its payload.
fn edit(mut item: SentItem, index: usize, sender: Sender<'_>) -> Result<(Edit, Fields), Rejection> {
    let SentEdit {
        action,
        client_version,
        base_version,
    } = item.edit.clone()?;
    if let Some(Err(rejection)) = payload_id(&item) {
        return Err(rejection);
    }

    let client_temp_id = item.client_temp_id.clone();
    let was = item.was.take().filter(|_| action == Action::Update);
    let Content {
        payload,
        fields,
        canonical,
    } = checked_payload(item, action)?;

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
        was: was.and_then(|was| was_of(&was, &fields)),
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
fn checked_payload(item: SentItem, action: Action) -> Result<Content, Rejection> {
    let (payload, fields) = match item.payload {
        Some(payload) => (payload, item.fields),
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

/// Returns the values that a device sent as `was`, without repeated fields and without fields that
/// the patch lacks. `None` if the value exceeds [`WAS_BYTES_MAX`] or is not a valid payload: it
/// only informs the person who resolves a conflict, so it is never a reason for a rejection.
fn was_of(was: &RawValue, patch: &Fields) -> Option<Json> {
    if was.get().len() > WAS_BYTES_MAX {
        return None;
    }
    let Content {
        payload,
        mut fields,
        ..
    } = Content::read(was, json::fields(was)).ok()?;

    let sent = fields.len();
    fields.retain(|name, _| patch.contains_key(name));
    Some(if fields.len() == sent {
        payload
    } else {
        json::object(&fields)
    })
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| digest[index])
}
