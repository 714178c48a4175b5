//! Media keys in pushed items (§6): each key must be the sender's own and its upload there, or stand in the resource already.

use std::collections::{HashMap, HashSet};

use super::intake::{Edit, Group, Refusal, Sender};
use crate::{
    catalog::ResourceType,
    json::Fields,
    limits::MEDIA_KEYS_MAX,
    media::{Checked, Upload, is_own},
    protocol::push::ItemCode,
};

/// The media keys that the fields of a payload name, where the catalog declares them: one text, or a list of them.
///
/// # Errors
/// A refusal for a field that holds anything else, or for more than 50 keys.
pub fn keys(fields: &Fields, rules: &ResourceType) -> Result<Vec<String>, Refusal> {
    let mut keys = Vec::new();
    for field in &rules.media {
        let Some(value) = fields.get(field).filter(|value| value.get() != "null") else { continue };
        match (serde_json::from_str::<String>(value.get()), serde_json::from_str::<Vec<String>>(value.get())) {
            (Ok(key), _) => keys.push(key),
            (_, Ok(list)) => keys.extend(list),
            _ => {
                let error = format!("payload.{field}: must be a media key or a list of them");
                return Err(Refusal::new(ItemCode::InvalidMediaKey, error));
            }
        }
    }
    if keys.len() > MEDIA_KEYS_MAX {
        let error = format!("payload: names {} media keys, at most {MEDIA_KEYS_MAX}", keys.len());
        return Err(Refusal::new(ItemCode::TooManyMedia, error));
    }
    Ok(keys)
}

/// The keys of `groups` whose uploads are to be looked at: the sender's own.
pub fn keys_to_check(groups: &[Group], sender: Sender<'_>) -> HashSet<String> {
    let keys = groups.iter().flat_map(Group::edits).flat_map(|edit| &edit.media);
    keys.filter(|key| is_own(key, &sender.principal.tenant, &sender.principal.user)).cloned().collect()
}

/// The uploads that `edit` adds to a resource, whose payload has the fields `standing`.
///
/// # Errors
/// A refusal for a key that is not the sender's, or whose upload is not there as it was promised; and whether sending the item again,
/// unchanged, may succeed.
pub fn verify(
    edit: &Edit,
    standing: &Fields,
    rules: &ResourceType,
    checked: &HashMap<String, Checked>,
    sender: Sender<'_>,
) -> Result<Vec<Upload>, (Refusal, bool)> {
    if edit.media.is_empty() {
        return Ok(Vec::new());
    }
    // What stands there already was verified when it came, whoever uploaded it.
    let standing: HashSet<String> = keys(standing, rules).unwrap_or_default().into_iter().collect();
    let mut uploads = Vec::new();
    let mut foreign = None;
    for key in edit.media.iter().filter(|key| !standing.contains(*key)) {
        if !is_own(key, &sender.principal.tenant, &sender.principal.user) {
            foreign.get_or_insert(key);
            continue;
        }
        match checked.get(key) {
            Some(Checked::Verified(upload)) => uploads.push(upload.clone()),
            Some(Checked::Missing(reason)) => {
                let error = format!("payload: media {key:?}: {reason}");
                return Err((Refusal::new(ItemCode::MediaMissing, error), true));
            }
            Some(Checked::Unavailable) | None => {
                let error = "the media store did not answer: send the item again";
                return Err((Refusal::new(ItemCode::Unavailable, error), true));
            }
        }
    }
    let Some(key) = foreign else { return Ok(uploads) };
    let error = format!("payload: {key:?} is no media key that you were given: presign an upload of your own");
    Err((Refusal::new(ItemCode::InvalidMediaKey, error), false))
}
