//! Determines which media keys of a batch are accepted. Uploads that were verified for a resource
//! before are read from `submission_media`; the others are looked up in the bucket. `tidemark-core`
//! decides which keys need a lookup.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemark_aws::{Context, Error, media::Media};
use tidemark_core::{
    model::{
        resource::{Resource, ResourceKey},
        result::ItemResult,
    },
    rules::push::{
        edit::Sender,
        group::Group,
        media::{KeyRules, MediaReferences, MediaVerification},
    },
};

use crate::push::Mode;

/// Verifies the media keys of the items without a result in `results`, and keeps the uploads if
/// `mode` is [`Mode::Apply`].
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable. If the bucket is unavailable, the items
/// that need it get a retryable error instead.
pub(super) async fn verify(
    context: &Context,
    media: &Media,
    sender: Sender<'_>,
    groups: &[Group],
    rows: &HashMap<ResourceKey, Resource>,
    results: &BTreeMap<usize, ItemResult>,
    mode: Mode,
) -> Result<MediaVerification, Error> {
    let rules = KeyRules {
        keyring: media.keyring(),
        accepts_old: media.accepts_old_keys(),
    };
    let references = MediaReferences::of(groups, rows, sender, rules, |index| {
        !results.contains_key(&index)
    });

    let to_find = references.references_to_load();
    let verified_before = match to_find.is_empty() {
        true => HashSet::new(),
        false => {
            context
                .tables
                .submission_media
                .verified(&sender.principal.tenant, to_find)
                .await?
        }
    };

    let (keys, verification) = references.objects_to_head(verified_before);
    let checked = match mode {
        _ if keys.is_empty() => HashMap::new(),
        Mode::Apply => media.check_and_keep(keys).await,
        Mode::DryRun => media.check(keys).await,
    };
    Ok(verification.with_lookup_results(checked))
}
