//! Media keys in the content that a resolution stores (§5.2, §6.3): the upload of each key must
//! have been verified for the resource. The keys in the edits of a conflict were verified when the
//! edits were stored. An admin's payload may name those keys and any that the resource held before,
//! and no others.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::{
    model::{
        catalog::ResourceType,
        conflict::Conflict,
        json::{self, Fields, Json, is_same},
        limits::MEDIA_KEYS_MAX,
        resolve::{MediaRejection, RequestedResolution, ResolveRejection},
        resource::Resource,
    },
    rules::{
        media::MediaKey,
        push::media::{MediaReference, keys_in},
        resolve::ResolvePlan,
    },
};

/// The media keys that a resolution adds to its resource, to be looked for among the verified
/// uploads.
#[derive(Debug)]
pub struct NewMedia {
    requested: RequestedResolution,
    /// Each new reference with the field that names it.
    references: Vec<(String, MediaReference)>,
}

impl NewMedia {
    /// Collects the keys that `plan` adds to the media fields that `rules` declares. Keys that the
    /// resource holds now, or held when an edit of the conflict was last rejected, are not new.
    ///
    /// # Errors
    /// Returns [`ResolveRejection::Media`] if a value is neither a media key nor a list of them, or
    /// if the payload names more keys than allowed.
    ///
    /// See the example of [`check`](Self::check).
    pub fn of(
        plan: &ResolvePlan,
        conflict: &Conflict,
        current: Option<&Resource>,
        rules: Option<&ResourceType>,
    ) -> Result<Self, ResolveRejection> {
        let mut new = Self {
            requested: plan.requested,
            references: Vec::new(),
        };
        let Some((written, rules)) = stored_media(plan, rules) else {
            return Ok(new);
        };

        let fields = fields_of(Some(&written.payload));
        let held = [
            fields_of(current.map(|current| &current.payload)),
            fields_of(conflict.server_payload.as_ref()),
        ];
        let held_keys: HashSet<String> = held
            .iter()
            .flat_map(|fields| named(fields, rules))
            .collect();

        let mut count = 0;
        for field in &rules.media {
            let Some(value) = fields
                .get(field)
                .filter(|value| !is_held(&held, field, value))
            else {
                continue;
            };
            let keys =
                keys_in(value).ok_or_else(|| new.rejection(field, MediaRejection::Malformed))?;
            count += keys.len();
            if count > MEDIA_KEYS_MAX {
                return Err(new.rejection(field, MediaRejection::TooMany));
            }
            let keys = keys.into_iter().filter(|key| !held_keys.contains(key));
            new.references.extend(keys.map(|media_key| {
                let resource = conflict.resource.clone();
                let reference = MediaReference {
                    resource,
                    media_key,
                };
                (field.clone(), reference)
            }));
        }

        Ok(new)
    }

    /// Returns the references to load. Texts that are not media keys are left out.
    pub fn references_to_load(&self) -> Vec<MediaReference> {
        let references = self.references.iter().map(|(_, reference)| reference);
        references
            .filter(|reference| MediaKey::parse(&reference.media_key).is_some())
            .cloned()
            .collect()
    }

    /// Checks that each key is among those `verified_before` as verified for the resource.
    ///
    /// # Errors
    /// Returns [`ResolveRejection::Media`] with the field and the first unverified key.
    ///
    /// # Example
    ///
    /// ```
    /// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
    /// use std::collections::HashSet;
    /// use tidemark_core::{
    ///     model::{audit::Via, resolve::{ResolveChoice, ResolveCommand}},
    ///     rules::resolve::{NewMedia, ResolveOutcome, Resolver, decide},
    /// };
    ///
    /// // An admin merges a photo into the meter that its device did not push.
    /// let choice = ResolveChoice::manual_merge(phone::raw(r#"{"photo":"a"}"#));
    /// let command = ResolveCommand { choice, expected_server_version: None, note: None };
    /// let phone = phone::Phone::new();
    /// let catalog = &phone.catalog;
    /// let resolver =
    ///     Resolver { tenant: "acme", by: "root", via: Via::Api, bulk_id: None, catalog };
    /// let conflict = phone::conflict("{}");
    /// let Ok(ResolveOutcome::Resolve(plan)) =
    ///     decide(&conflict, None, &command, resolver, "1".into(), Default::default())
    /// else { panic!("the conflict is open") };
    ///
    /// let new = NewMedia::of(&plan, &conflict, None, phone.catalog.get("meter")).unwrap();
    /// assert!(new.check(&HashSet::new()).is_err());
    /// ```
    pub fn check(&self, verified_before: &HashSet<MediaReference>) -> Result<(), ResolveRejection> {
        match self
            .references
            .iter()
            .find(|(_, reference)| !verified_before.contains(reference))
        {
            None => Ok(()),
            Some((field, MediaReference { media_key, .. })) => {
                Err(self.rejection(field, MediaRejection::Unverified(media_key.clone())))
            }
        }
    }

    fn rejection(&self, field: &str, reason: MediaRejection) -> ResolveRejection {
        ResolveRejection::Media {
            requested: self.requested,
            field: field.to_owned(),
            reason,
        }
    }
}

/// Returns the resource that `plan` stores and its type, unless the resource is deleted or its type
/// has no media fields.
fn stored_media<'a>(
    plan: &'a ResolvePlan,
    rules: Option<&'a ResourceType>,
) -> Option<(&'a Resource, &'a ResourceType)> {
    let rules = rules.filter(|rules| !rules.media.is_empty())?;
    let written = &plan.write.as_ref()?.resource;
    (!written.deleted).then_some((written, rules))
}

fn fields_of(payload: Option<&Json>) -> Fields {
    payload
        .and_then(|payload| json::fields(payload))
        .unwrap_or_default()
}

/// Returns whether the field has the same value in one of the payloads that were `held` before.
fn is_held(held: &[Fields], field: &str, value: &RawValue) -> bool {
    held.iter()
        .filter_map(|fields| fields.get(field))
        .any(|held| is_same(held, value))
}

fn named(fields: &Fields, rules: &ResourceType) -> Vec<String> {
    rules
        .media
        .iter()
        .filter_map(|field| keys_in(fields.get(field)?))
        .flatten()
        .collect()
}
