//! The answer to a push: small enough for Lambda (§3.12), with a token that skips nothing (§3.13),
//! and without the content of a version that is not current (§3.6).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    conflict::Resolution,
    limits::{RESPONSE_BYTES_MAX, escaped_bytes},
    protocol::push::{ItemResult, Status},
    receipts::WrittenVersion,
    resource::{Resource, ResourceKey},
    token::Token,
};

/// Bytes kept for what stands around the results.
const ENVELOPE_BYTES: usize = 300 * 1024;

/// Bytes of the payloads of an answer, escaped.
pub(super) const PAYLOADS_BYTES_MAX: usize = RESPONSE_BYTES_MAX - ENVELOPE_BYTES;

/// Leaves out `server_payload` where the answer would outgrow the bound, and says so.
pub fn fit(results: &mut [ItemResult]) {
    let mut left = PAYLOADS_BYTES_MAX;
    for result in results {
        let Some(payload) = &result.server_payload else {
            continue;
        };
        match left.checked_sub(escaped_bytes(payload.get())) {
            Some(rest) => left = rest,
            None => {
                result.server_payload = None;
                result.server_payload_omitted = true;
            }
        }
    }
}

/// Leaves out what results say of versions that a later item of the same batch has replaced. `keys`
/// names the resource of each item.
pub fn omit_superseded(results: &mut [ItemResult], keys: &BTreeMap<usize, ResourceKey>) {
    let mut newest: BTreeMap<&ResourceKey, u64> = BTreeMap::new();
    for result in results.iter() {
        if let (Some(key), Some(version)) = (keys.get(&result.index), result.server_version) {
            let highest = newest.entry(key).or_default();
            *highest = version.max(*highest);
        }
    }
    for result in results.iter_mut().filter(|result| is_about_content(result)) {
        let newest = keys.get(&result.index).and_then(|key| newest.get(key));
        if newest.is_some_and(|newest| result.server_version.unwrap_or_default() < *newest) {
            omit_content(result);
        }
    }
}

/// Completes a result that was given before and is given again (§3.6): with the content of its
/// resource if that still has the version of the result, and with the `resolution` of its conflict
/// if there is one by now. `current` is the resource as it was read after the batch was decided;
/// `Some(None)` where there is none, `None` where it cannot be known.
///
/// A device may have pulled a newer version between the two responses. The content of an older one
/// would take its copy back, and its token would never lead it to the newer one again. The same
/// holds for an `ok` of a resource that is deleted by now, because a snapshot does not say so: its
/// device must not apply the edit.
pub fn complete_again(
    result: &mut ItemResult,
    current: Option<Option<&Resource>>,
    resolution: Option<Resolution>,
) {
    if result.status == Status::Conflict {
        result.resolution = result.resolution.or(resolution);
    }
    let is_current = current.is_some_and(|current| version(current) == result.server_version);
    if !is_about_content(result) {
        if !is_current && current.flatten().is_some_and(|current| current.deleted) {
            omit_content(result);
        }
        return;
    }
    let Some(current) = current.filter(|_| is_current) else {
        return omit_content(result);
    };
    match (result.status, current) {
        (Status::Conflict, Some(current)) if current.deleted => result.server_deleted = true,
        (Status::Conflict | Status::Ok, Some(current)) if !current.deleted => {
            result.server_payload = Some(current.payload.clone());
            result.server_payload_omitted = false;
        }
        _ => {}
    }
}

/// Whether a result says what the server holds of its resource: of a conflict, that there may be
/// nothing.
pub fn is_about_content(result: &ItemResult) -> bool {
    result.status == Status::Conflict
        || result.server_payload.is_some()
        || result.server_payload_omitted
        || result.server_deleted
}

fn omit_content(result: &mut ItemResult) {
    (
        result.server_payload,
        result.server_deleted,
        result.server_payload_omitted,
    ) = (None, false, true);
}

fn version(resource: Option<&Resource>) -> Option<u64> {
    resource.map(|resource| resource.server_version)
}

/// The token a device may pull from after a push: its own, for answering with a newer one would
/// skip what others changed in between. A token that is not ours (or none) becomes the empty one,
/// which starts over with snapshots and skips nothing either.
pub fn sync_token(client_sync_token: Option<&str>) -> String {
    client_sync_token
        .filter(|token| Token::decode(token).is_ok())
        .map_or_else(|| Token::default().encode(), ToOwned::to_owned)
}

/// The same with receipts (§4.6) for the versions that the device is `told` of at the moment
/// `told_at`: a device that stores the token with the results need not be sent its own changes
/// again. Positions never move by a push.
pub fn sync_token_with(
    client_sync_token: Option<&str>,
    told: impl IntoIterator<Item = WrittenVersion>,
    told_at: DateTime<Utc>,
) -> String {
    let (token, mut receipts) = client_sync_token
        .and_then(|text| Token::decode_with(text).ok())
        .unwrap_or_default();
    told.into_iter()
        .for_each(|made| receipts.add(made, told_at));
    token.encode_with(&receipts)
}

/// The versions that these results tell a device of so that it can hold them: of each resource the
/// highest that is `ok` and whose payload is not omitted. `keys` names the resource of each item.
pub fn told(results: &[ItemResult], keys: &BTreeMap<usize, ResourceKey>) -> Vec<WrittenVersion> {
    let mut versions: BTreeMap<&ResourceKey, u64> = BTreeMap::new();
    for result in results
        .iter()
        .filter(|result| result.status == Status::Ok && !result.server_payload_omitted)
    {
        if let (Some(key), Some(version)) = (keys.get(&result.index), result.server_version) {
            let highest = versions.entry(key).or_default();
            *highest = version.max(*highest);
        }
    }
    versions
        .into_iter()
        .map(|(key, version)| WrittenVersion::new(key, version))
        .collect()
}
