//! Media keys in pushed items (§6.3). A resource accepts a key only if its upload was verified for
//! that resource. The number of lookups is bounded for each batch, and only keys that presign
//! returned are looked up.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::intake::{Edit, Group, Rejection, Sender};
use crate::{
    model::{
        catalog::ResourceType,
        json::{self, Fields},
        limits::{MEDIA_KEYS_MAX, MEDIA_LOOKUPS_MAX, MEDIA_OLD_LOOKUPS_MAX},
        resource::{Resource, ResourceKey},
    },
    rules::media::{Keyring, MediaCheck, MediaKey, Upload},
    wire::push::ItemCode,
};

const NOT_ISSUED: &str = "is not a media key that was issued to you: presign an upload of your own";
const TOO_OLD: &str =
    "is a media key of the old form, which is no longer accepted: presign the upload again";

/// A media key and the resource whose payload contains it.
pub type MediaReference = (ResourceKey, String);

/// The rules by which media keys are accepted for lookup.
#[derive(Debug, Clone, Copy)]
pub struct KeyRules<'a> {
    /// The secrets that authenticate keys.
    pub keyring: &'a Keyring,
    /// Whether keys of the old form, which have no MAC, are accepted when they are added to a
    /// resource.
    pub accepts_old: bool,
}

/// The media keys of a batch that have to be verified, in item order.
#[derive(Debug, Default)]
pub struct MediaReferences {
    references: Vec<Lookup>,
    verification: MediaVerification,
}

#[derive(Debug)]
struct Lookup {
    reference: MediaReference,
    is_old: bool,
    is_own: bool,
    /// Whether the resource may exist already, in which case the upload may have been verified for
    /// it.
    may_be_verified_before: bool,
    may_be_added: bool,
}

/// The verification state of the media keys of a batch.
#[derive(Debug, Default)]
pub struct MediaVerification {
    /// Uploads that were verified for their resource before.
    verified_before: HashSet<MediaReference>,
    /// References that are deferred to a later batch.
    deferred: HashSet<MediaReference>,
    /// The results of the lookups in the bucket, by media key.
    lookup_results: HashMap<String, MediaCheck>,
}

/// The number of lookups that a batch may still make.
struct Budget {
    all: usize,
    old: usize,
}

/// Returns the media keys in the payload fields that the catalog declares as media fields. A field
/// contains a string or an array of strings.
///
/// # Errors
/// Returns a [`Rejection`] if a field contains anything else, or if there are more than
/// [`MEDIA_KEYS_MAX`] keys.
pub fn keys(fields: &Fields, rules: &ResourceType) -> Result<Vec<String>, Rejection> {
    let mut keys = Vec::new();

    for field in &rules.media {
        let Some(value) = fields.get(field).filter(|value| value.get() != "null") else {
            continue;
        };
        let Some(named) = keys_in(value) else {
            let error = format!("payload.{field}: must be a media key or a list of them");
            return Err(Rejection::new(ItemCode::InvalidMediaKey, error));
        };
        keys.extend(named);
    }

    if keys.len() > MEDIA_KEYS_MAX {
        let error = format!(
            "payload: contains {} media keys, at most {MEDIA_KEYS_MAX}",
            keys.len()
        );
        return Err(Rejection::new(ItemCode::TooManyMedia, error));
    }
    Ok(keys)
}

/// Returns the media keys in the value of a media field: a string or an array of strings; an empty
/// list for `null`. Returns `None` for any other value.
pub(crate) fn keys_in(value: &RawValue) -> Option<Vec<String>> {
    match serde_json::from_str::<Option<String>>(value.get()) {
        Ok(key) => Some(key.into_iter().collect()),
        Err(_) => serde_json::from_str(value.get()).ok(),
    }
}

impl MediaReferences {
    /// Collects the keys that the items of `groups` contain and that `rows` do not contain yet.
    /// Items for which `is_pending` returns false, by their index, already have results and are
    /// left out.
    pub fn of(
        groups: &[Group],
        rows: &HashMap<ResourceKey, Resource>,
        sender: Sender<'_>,
        rules: KeyRules<'_>,
        is_pending: impl Fn(usize) -> bool,
    ) -> Self {
        let mut edits: Vec<(&Group, &Edit)> = groups
            .iter()
            .flat_map(|group| media_edits(group).map(move |it| (group, it)))
            .collect();
        edits.retain(|(_, edit)| is_pending(edit.index));
        edits.sort_by_key(|(_, edit)| edit.index);
        let mut held: HashMap<&ResourceKey, HashSet<String>> = HashMap::new();
        let (mut seen, mut references) = (HashSet::new(), Self::default());

        for (group, edit) in edits {
            let held = held
                .entry(&group.key)
                .or_insert_with(|| held_by(group, rows.get(&group.key), sender));
            let new: Vec<&String> = edit
                .media
                .iter()
                .filter(|key| !held.contains(*key))
                .collect();
            let forged: Vec<&String> = new
                .iter()
                .filter(|key| recognized(key, rules).is_none())
                .copied()
                .collect();

            let rejected = forged
                .iter()
                .map(|key| ((*key).clone(), MediaCheck::Rejected(NOT_ISSUED)));
            references.verification.lookup_results.extend(rejected);
            // An item with a forged key is rejected, so its other keys are not looked up.
            for key in new.into_iter().filter(|_| forged.is_empty()) {
                if seen.insert((&group.key, key)) {
                    references.add(group, key, sender, rules);
                }
            }
        }
        references
    }

    fn add(&mut self, group: &Group, key: &str, sender: Sender<'_>, rules: KeyRules<'_>) {
        let Some(parsed) = recognized(key, rules) else {
            return;
        };
        self.references.push(Lookup {
            reference: (group.key.clone(), key.to_owned()),
            is_old: parsed.is_old(),
            is_own: parsed.is_of(&sender.principal.tenant, &sender.principal.user),
            may_be_verified_before: sender.is_replay || !group.begins_with_create(),
            may_be_added: !parsed.is_old() || rules.accepts_old,
        });
    }

    /// Returns the references to read from `submission_media`, at most [`MEDIA_LOOKUPS_MAX`].
    pub fn references_to_load(&self) -> Vec<MediaReference> {
        let mut budget = Budget::new();
        let found = self
            .references
            .iter()
            .filter(|it| it.may_be_verified_before && budget.try_take(it.is_old));
        found.map(|it| it.reference.clone()).collect()
    }

    /// Returns the object keys to look up in the bucket, at most [`MEDIA_LOOKUPS_MAX`], and the
    /// state of the other keys. `verified_before` contains the references whose uploads were
    /// verified before.
    pub fn objects_to_head(
        self,
        verified_before: HashSet<MediaReference>,
    ) -> (Vec<String>, MediaVerification) {
        let searched: HashSet<MediaReference> = self.references_to_load().into_iter().collect();
        let Self {
            references,
            mut verification,
        } = self;

        let (mut budget, mut keys) = (Budget::new(), Vec::new());
        for Lookup {
            reference,
            is_old,
            is_own,
            may_be_verified_before,
            may_be_added,
        } in references
        {
            if verified_before.contains(&reference) {
                continue;
            }

            if !(is_own && may_be_added) {
                if may_be_verified_before && !searched.contains(&reference) {
                    verification.deferred.insert(reference);
                } else {
                    let reason = if is_own { TOO_OLD } else { NOT_ISSUED };
                    verification
                        .lookup_results
                        .insert(reference.1, MediaCheck::Rejected(reason));
                }
            } else if !verification.lookup_results.contains_key(&reference.1) {
                let is_admitted = budget.try_take(is_old);
                // The lookup result replaces this entry.
                verification.lookup_results.insert(
                    reference.1.clone(),
                    if is_admitted {
                        MediaCheck::Unavailable
                    } else {
                        MediaCheck::Deferred
                    },
                );
                keys.extend(Some(reference.1).filter(|_| is_admitted));
            }
        }

        (
            keys,
            MediaVerification {
                verified_before,
                ..verification
            },
        )
    }
}

impl MediaVerification {
    /// Adds the results of the lookups.
    #[must_use]
    pub fn with_lookup_results(mut self, lookup_results: HashMap<String, MediaCheck>) -> Self {
        self.lookup_results.extend(lookup_results);
        self
    }

    /// Checks that a new media key is not rejected permanently.
    fn check_valid(&self, reference: &MediaReference) -> Result<(), Rejection> {
        let (_, media) = reference;
        match self.lookup_results.get(media) {
            Some(MediaCheck::Rejected(reason)) if !self.deferred.contains(reference) => {
                let error = format!("payload: {media:?} {reason}");
                Err(Rejection::new(ItemCode::InvalidMediaKey, error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the verified upload of a new media key that is valid, or the reason why the item
    /// must be sent again.
    fn upload(&self, reference: &MediaReference) -> Result<Upload, Rejection> {
        let (_, media) = reference;
        match self.lookup_results.get(media) {
            _ if self.deferred.contains(reference) => Err(deferred()),
            Some(MediaCheck::Verified(upload)) => Ok(upload.clone()),
            Some(MediaCheck::Missing(reason)) => {
                let error = format!("payload: media {media:?}: {reason}");
                Err(Rejection::new(ItemCode::MediaMissing, error))
            }
            Some(MediaCheck::Deferred) => Err(deferred()),
            Some(MediaCheck::Unavailable | MediaCheck::Rejected(_)) | None => {
                let error = "the media store is unavailable: send the item again";
                Err(Rejection::new(ItemCode::Unavailable, error))
            }
        }
    }
}

impl Budget {
    const fn new() -> Self {
        Self {
            all: MEDIA_LOOKUPS_MAX,
            old: MEDIA_OLD_LOOKUPS_MAX,
        }
    }

    fn try_take(&mut self, is_old: bool) -> bool {
        if self.all == 0 || is_old && self.old == 0 {
            return false;
        }
        self.all -= 1;
        self.old -= usize::from(is_old);
        true
    }
}

/// Parses a key that a presign may have returned: an authentic key, or a key of the old form, which
/// has no MAC.
fn recognized(key: &str, rules: KeyRules<'_>) -> Option<MediaKey> {
    MediaKey::parse(key).filter(|key| key.is_old() || key.is_authentic(rules.keyring))
}

/// Returns the edits of a group whose payloads contain media keys.
fn media_edits(group: &Group) -> impl Iterator<Item = &Edit> {
    group.edits().filter(|edit| !edit.media.is_empty())
}

fn held_by(group: &Group, resource: Option<&Resource>, sender: Sender<'_>) -> HashSet<String> {
    let rules = sender.catalog.get(&group.key.resource_type);
    resource
        .zip(rules)
        .map(|(resource, rules)| named_by(resource, rules))
        .unwrap_or_default()
}

/// Returns the media keys in the payload of a stored resource.
fn named_by(resource: &Resource, rules: &ResourceType) -> HashSet<String> {
    named_in(&json::fields(&resource.payload).unwrap_or_default(), rules)
}

fn named_in(fields: &Fields, rules: &ResourceType) -> HashSet<String> {
    rules
        .media
        .iter()
        .filter_map(|field| keys_in(fields.get(field)?))
        .flatten()
        .collect()
}

/// Returns the uploads that `edit` adds to the resource `key`, whose payload has the fields
/// `current_fields`.
///
/// # Errors
/// Returns a [`Rejection`] if a new key was not issued to the sender, if its upload is missing or
/// has another size or type than the key states, or if the upload could not be looked up. The flag
/// is true if the error is retryable.
pub fn verify(
    edit: &Edit,
    key: &ResourceKey,
    current_fields: &Fields,
    rules: &ResourceType,
    verification: &MediaVerification,
) -> Result<Vec<Upload>, (Rejection, bool)> {
    if edit.media.is_empty() {
        return Ok(Vec::new());
    }

    // The resource's existing keys were verified when they were added.
    let held = named_in(current_fields, rules);
    let new: Vec<MediaReference> = edit
        .media
        .iter()
        .filter(|media| !held.contains(*media))
        .map(|media| (key.clone(), media.clone()))
        .filter(|reference| !verification.verified_before.contains(reference))
        .collect();

    // Permanent errors take precedence over retryable ones.
    for reference in &new {
        verification
            .check_valid(reference)
            .map_err(|rejection| (rejection, false))?;
    }

    new.iter()
        .map(|reference| verification.upload(reference))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|rejection| (rejection, true))
}

fn deferred() -> Rejection {
    let error = format!(
        "the batch contains more media keys that are not verified yet than one batch may look up ({MEDIA_LOOKUPS_MAX}; \
         {MEDIA_OLD_LOOKUPS_MAX} of the old form): send the item again"
    );
    Rejection::new(ItemCode::Unavailable, error)
}

#[cfg(test)]
mod tests;
