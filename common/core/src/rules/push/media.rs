//! Media keys in pushed items (§6.3). A resource accepts a key only if its upload was verified for
//! that resource. The number of lookups is bounded for each batch, and only keys that presign
//! returned are looked up.

mod lookups;

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::{
    model::{
        catalog::ResourceType,
        json::Fields,
        limits::{MEDIA_KEYS_MAX, MEDIA_LOOKUPS_MAX, MEDIA_OLD_LOOKUPS_MAX},
        resource::ResourceKey,
        result::{ItemCode, Rejection},
    },
    rules::{
        media::{MediaCheck, Upload},
        push::edit::Edit,
    },
};

pub use lookups::{KeyRules, MediaReferences};

/// A media key in the payload of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaReference {
    /// The resource whose payload contains the key.
    pub resource: ResourceKey,
    /// The key of the upload.
    pub media_key: String,
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

/// Returns the media keys in the payload fields that the catalog declares as media fields. A field
/// contains a string or an array of strings.
///
/// # Errors
/// Returns a [`Rejection`] if a field contains anything else, or if there are more than
/// [`MEDIA_KEYS_MAX`] keys.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::{
///     model::{json, result::ItemCode},
///     rules::push::media::keys,
/// };
///
/// let phone = phone::Phone::new();
/// let rules = phone.catalog.get("meter").unwrap();
/// let keys = |payload: &str| keys(&json::fields(&phone::raw(payload)).unwrap(), rules);
///
/// // The media field of meters is `photo`.
/// assert_eq!(keys(r#"{"photo": "a", "note": "c"}"#).unwrap(), ["a"]);
/// assert_eq!(keys(r#"{"photo": ["a", "b"]}"#).unwrap(), ["a", "b"]);
/// assert!(keys(r#"{"photo": null}"#).unwrap().is_empty());
/// assert_eq!(keys(r#"{"photo": 7}"#).unwrap_err().code, ItemCode::InvalidMediaKey);
/// ```
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

impl MediaVerification {
    /// Adds the results of the lookups.
    ///
    /// See the example of [`verify`].
    #[must_use]
    pub fn with_lookup_results(mut self, lookup_results: HashMap<String, MediaCheck>) -> Self {
        self.lookup_results.extend(lookup_results);
        self
    }

    /// Checks that a new media key is not rejected permanently.
    fn check_valid(&self, reference: &MediaReference) -> Result<(), Rejection> {
        let media_key = &reference.media_key;
        match self.lookup_results.get(media_key) {
            Some(MediaCheck::Rejected(reason)) if !self.deferred.contains(reference) => {
                let error = format!("payload: {media_key:?} {reason}");
                Err(Rejection::new(ItemCode::InvalidMediaKey, error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the verified upload of a new media key that is valid, or the reason why the item
    /// must be sent again.
    fn upload(&self, reference: &MediaReference) -> Result<Upload, Rejection> {
        let media_key = &reference.media_key;
        match self.lookup_results.get(media_key) {
            _ if self.deferred.contains(reference) => Err(deferred()),
            Some(MediaCheck::Verified(upload)) => Ok(upload.clone()),
            Some(MediaCheck::Missing(reason)) => {
                let error = format!("payload: media {media_key:?}: {reason}");
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

fn named_in(fields: &Fields, rules: &ResourceType) -> HashSet<String> {
    rules
        .media
        .iter()
        .filter_map(|field| keys_in(fields.get(field)?))
        .flatten()
        .collect()
}

/// The reason why the media keys of an edit are not accepted.
#[derive(Debug)]
pub struct UnverifiedMedia {
    /// The code and the message.
    pub rejection: Rejection,
    /// Whether the unchanged item may succeed later.
    pub is_retryable: bool,
}

/// Returns the uploads that `edit` adds to the resource `key`, whose payload has the fields
/// `current_fields`.
///
/// # Errors
/// Returns [`UnverifiedMedia`] if a new key was not issued to the sender, if its upload is missing
/// or has another size or type than the key states, or if the upload could not be looked up.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use serde_json::json;
/// use tidemark_core::{
///     model::{json::Fields, result::ItemCode},
///     rules::{media::MediaCheck, push::media::{MediaVerification, verify}},
/// };
///
/// let phone = phone::Phone::new();
/// let create = json!({"action": "create", "payload": {"id": "m-1", "photo": "a"}});
/// let group = phone.batch([create]).groups.remove(0);
/// let verify = |check: MediaCheck| {
///     let verification = MediaVerification::default()
///         .with_lookup_results([("a".to_owned(), check)].into());
///     let rules = phone.catalog.get("meter").unwrap();
///     let edit = group.edits().next().unwrap();
///     verify(edit, &group.key, &Fields::new(), rules, &verification)
/// };
///
/// // A missing upload may still arrive; a key that was not issued to the sender stays invalid.
/// let missing = verify(MediaCheck::absent()).unwrap_err();
/// assert!(missing.is_retryable && missing.rejection.code == ItemCode::MediaMissing);
/// let forged = verify(MediaCheck::Rejected("is forged")).unwrap_err();
/// assert!(!forged.is_retryable && forged.rejection.code == ItemCode::InvalidMediaKey);
/// ```
pub fn verify(
    edit: &Edit,
    key: &ResourceKey,
    current_fields: &Fields,
    rules: &ResourceType,
    verification: &MediaVerification,
) -> Result<Vec<Upload>, UnverifiedMedia> {
    if edit.media.is_empty() {
        return Ok(Vec::new());
    }

    // The resource's existing keys were verified when they were added.
    let held = named_in(current_fields, rules);
    let new: Vec<MediaReference> = edit
        .media
        .iter()
        .filter(|media_key| !held.contains(*media_key))
        .map(|media_key| MediaReference {
            resource: key.clone(),
            media_key: media_key.clone(),
        })
        .filter(|reference| !verification.verified_before.contains(reference))
        .collect();

    // Permanent errors take precedence over retryable ones.
    for reference in &new {
        verification
            .check_valid(reference)
            .map_err(|rejection| UnverifiedMedia {
                rejection,
                is_retryable: false,
            })?;
    }

    new.iter()
        .map(|reference| verification.upload(reference))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|rejection| UnverifiedMedia {
            rejection,
            is_retryable: true,
        })
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
