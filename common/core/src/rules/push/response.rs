//! The response to a push: it fits into Lambda's response limit (§3.12), its token skips no change
//! (§3.13), and it contains no content of an outdated version (§3.6).

use std::collections::BTreeMap;

use crate::model::{
    limits::{RESPONSE_BYTES_MAX, escaped_bytes},
    receipts::WrittenVersion,
    resolution::Resolution,
    resource::{Resource, ResourceKey},
    result::{ItemResult, Status},
};

/// Bytes reserved for the parts of a response other than payloads.
const ENVELOPE_BYTES: usize = 300 * 1024;

/// Maximum number of bytes of a response's payloads, escaped.
pub(super) const PAYLOADS_BYTES_MAX: usize = RESPONSE_BYTES_MAX - ENVELOPE_BYTES;

/// Omits each `server_payload` that would exceed the response limit, and sets
/// `server_payload_omitted`.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::{model::result::ItemResult, rules::push::response::fit};
///
/// let payload = phone::raw(&format!(r#"{{"note": "{}"}}"#, "x".repeat(300_000)));
/// let mut results: Vec<ItemResult> = (0..20)
///     .map(|index| ItemResult {
///         server_payload: Some(payload.clone()),
///         ..ItemResult::ok(index, None, format!("m-{index}"), Some(1))
///     })
///     .collect();
/// fit(&mut results);
///
/// // 5 MB have room for the payloads of the first items only.
/// assert!(results[0].server_payload.is_some() && !results[0].server_payload_omitted);
/// assert!(results[19].server_payload.is_none() && results[19].server_payload_omitted);
/// ```
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

/// Omits the content of versions that a later item of the same batch replaced. `keys` maps each
/// item to its resource.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::BTreeMap;
/// use tidemark_core::{
///     model::result::ItemResult,
///     rules::push::response::{is_about_content, omit_superseded},
/// };
///
/// let result = |index, version| ItemResult {
///     server_payload: Some(phone::raw("{}")),
///     ..ItemResult::ok(index, None, "m-1".into(), Some(version))
/// };
/// let mut results = [result(0, 1), result(1, 2)];
/// assert!(results.iter().all(is_about_content));
///
/// // Both items are about the meter m-1: only the content of its version 2 is delivered.
/// let keys = BTreeMap::from([0, 1].map(|index| (index, phone::meter("m-1"))));
/// omit_superseded(&mut results, &keys);
/// assert!(results[0].server_payload_omitted && results[0].server_payload.is_none());
/// assert!(results[1].server_payload.is_some());
/// ```
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

/// Completes the stored result of an item whose batch is repeated (§3.6). It adds the content of
/// the resource if the version is still that of the result, and the `resolution` of its conflict if
/// there is one. `current` is the resource, read after the batch was decided: `Some(None)` if it
/// does not exist, `None` if its state is unknown.
///
/// A device may have pulled a newer version between the two responses. The content of an older
/// version would replace its newer copy, and its token would never deliver the newer version again.
/// The same applies to an `ok` for a resource that has been deleted since: the device must not
/// apply the edit again, because a snapshot does not contain deletes.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::{model::result::ItemResult, rules::push::response::complete_repeated};
///
/// let stored_result = ItemResult {
///     server_payload_omitted: true,
///     ..ItemResult::ok(0, None, "m-1".into(), Some(1))
/// };
/// let mut meter = phone::stored(r#"{"unit": "Wh"}"#);
///
/// // The meter still has the version of the result.
/// let mut result = stored_result.clone();
/// complete_repeated(&mut result, Some(Some(&meter)), None);
/// assert_eq!(result.server_payload.unwrap().get(), r#"{"unit": "Wh"}"#);
///
/// // The meter has changed since: the device has to pull.
/// meter.server_version = 2;
/// let mut result = stored_result;
/// complete_repeated(&mut result, Some(Some(&meter)), None);
/// assert!(result.server_payload.is_none() && result.server_payload_omitted);
/// ```
pub fn complete_repeated(
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

/// Returns whether a result describes the server's state of its resource. A conflict always does,
/// even if the resource does not exist.
///
/// See the example of [`omit_superseded`].
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

/// Returns the versions that these results deliver to the device: for each resource the highest
/// `ok` version whose payload is not omitted. `keys` maps each item to its resource.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::BTreeMap;
/// use tidemark_core::{
///     model::{receipts::WrittenVersion, result::ItemResult},
///     rules::push::response::delivered_versions,
/// };
///
/// let result = |index, version| ItemResult::ok(index, None, "m-1".into(), Some(version));
/// let meter = phone::meter("m-1");
/// let keys = BTreeMap::from([0, 1].map(|index| (index, meter.clone())));
/// let delivered = delivered_versions(&[result(0, 1), result(1, 2)], &keys);
/// assert_eq!(delivered, [WrittenVersion::new(&meter, 2)]);
/// ```
pub fn delivered_versions(
    results: &[ItemResult],
    keys: &BTreeMap<usize, ResourceKey>,
) -> Vec<WrittenVersion> {
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
