//! The links of an edit, which depend on its resource and on the creates of the batch: references,
//! media keys, and whether a create requests an id that is reserved for derivation.

use crate::{
    model::{
        catalog::ResourceType, edit::Action, ids, json::Fields, resource::ResourceKey,
        result::Rejection,
    },
    rules::push::{
        edit::{Create, Edit, Sender},
        media, references,
    },
};

impl Edit {
    /// Adds the references and media keys that the payload's fields contain.
    pub(super) fn with_links(
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
        // A media field must not be rewritten by a reference: the key that is verified must be the
        // key that is stored.
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

/// Returns whether the id has the form of a derived id but is not derived from this device's temp
/// id.
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
