//! The lookups of a batch: which media keys are read from `submission_media`, and which are looked
//! up in the bucket. Their number is bounded, and only keys that presign returned are looked up.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{
        catalog::ResourceType,
        json,
        limits::{MEDIA_LOOKUPS_MAX, MEDIA_OLD_LOOKUPS_MAX},
        resource::{Resource, ResourceKey},
    },
    rules::{
        media::{Keyring, MediaCheck, MediaKey},
        push::{
            edit::{Edit, Sender},
            group::Group,
            media::{MediaReference, MediaVerification, named_in},
        },
    },
};

const NOT_ISSUED: &str = "is not a media key that was issued to you: presign an upload of your own";
const TOO_OLD: &str =
    "is a media key of the old form, which is no longer accepted: presign the upload again";

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

/// The number of lookups that a batch may still make.
struct Budget {
    all: usize,
    old: usize,
}

impl MediaReferences {
    /// Collects the keys that the items of `groups` contain and that `rows` do not contain yet.
    /// Items for which `is_pending` returns false, by their index, already have results and are
    /// left out.
    ///
    /// See the example of [`objects_to_head`](Self::objects_to_head).
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
            reference: MediaReference {
                resource: group.key.clone(),
                media_key: key.to_owned(),
            },
            is_old: parsed.is_old(),
            is_own: parsed.is_of(&sender.principal.tenant, &sender.principal.user),
            may_be_verified_before: sender.is_replay || !group.begins_with_create(),
            may_be_added: !parsed.is_old() || rules.accepts_old,
        });
    }

    /// Returns the references to read from `submission_media`, at most [`MEDIA_LOOKUPS_MAX`].
    ///
    /// See the example of [`objects_to_head`](Self::objects_to_head).
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
    ///
    /// # Example
    ///
    /// ```
    /// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
    /// use std::collections::{HashMap, HashSet};
    /// use serde_json::json;
    /// use tidemark_core::rules::{
    ///     media::{Keyring, MediaKey},
    ///     push::media::{KeyRules, MediaReferences},
    /// };
    /// use uuid::Uuid;
    ///
    /// let keyring = Keyring::new(&"secret".repeat(6), None).unwrap();
    /// let key_of = |user| MediaKey::new("acme", user, Uuid::nil(), 9, "image/png", &keyring);
    /// let [own, foreign] = ["ana", "ben"].map(|user| key_of(user).to_string());
    /// let create = |id, photo| json!({"action": "create", "payload": {"id": id, "photo": photo}});
    ///
    /// // Only the key that was issued to the sender is looked up in the bucket.
    /// let phone = phone::Phone::new();
    /// let groups = phone.batch([create("m-1", &own), create("m-2", &foreign)]).groups;
    /// let rules = KeyRules { keyring: &keyring, accepts_old: false };
    /// let references =
    ///     MediaReferences::of(&groups, &HashMap::new(), phone.sender(), rules, |_| true);
    /// let (keys, _) = references.objects_to_head(HashSet::new());
    /// assert_eq!(keys, [own]);
    /// ```
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
                        .insert(reference.media_key, MediaCheck::Rejected(reason));
                }
            } else if !verification
                .lookup_results
                .contains_key(&reference.media_key)
            {
                let is_admitted = budget.try_take(is_old);
                // The lookup result replaces this entry.
                verification.lookup_results.insert(
                    reference.media_key.clone(),
                    if is_admitted {
                        MediaCheck::Unavailable
                    } else {
                        MediaCheck::Deferred
                    },
                );
                keys.extend(Some(reference.media_key).filter(|_| is_admitted));
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
