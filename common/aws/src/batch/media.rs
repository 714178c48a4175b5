//! Finding out which media keys of a batch may be accepted: the uploads that were verified for a
//! resource before are read from `submission_media`, and what is left is looked up in the bucket.
//! `tidemark-core` decides what is worth a lookup.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemark_core::{
    protocol::push::ItemResult,
    push::{
        intake::{Group, Sender},
        media::{Evidence, KeyRules, MediaReferences},
    },
    resource::{Resource, ResourceKey},
};

use super::Mode;
use crate::{context::Context, failure::Failure};

/// Verifies the media keys of the items without a result in `settled`, and keeps the uploads if
/// `mode` is to write.
///
/// # Errors
/// An outage of the table. An outage of the bucket makes the items that need it retryable.
pub(super) async fn verify(
    context: &Context,
    sender: Sender<'_>,
    groups: &[Group],
    rows: &HashMap<ResourceKey, Resource>,
    settled: &BTreeMap<usize, ItemResult>,
    mode: Mode,
) -> Result<Evidence, Failure> {
    let Some(media) = &context.media else {
        return Ok(Evidence::default());
    };
    let rules = KeyRules {
        keyring: media.keyring(),
        accepts_old: media.accepts_old_keys(),
    };
    let claims = MediaReferences::of(groups, rows, sender, rules, |index| {
        !settled.contains_key(&index)
    });

    let to_find = claims.to_find();
    let noted = match to_find.is_empty() {
        true => HashSet::new(),
        false => {
            context
                .tables
                .submission_media
                .noted(&sender.principal.tenant, to_find)
                .await?
        }
    };

    let (keys, evidence) = claims.to_look_up(noted);
    let checked = if keys.is_empty() {
        HashMap::new()
    } else {
        media.check(keys, mode).await
    };
    Ok(evidence.with(checked))
}
