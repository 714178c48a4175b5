//! The packed content of a deleted resource (its tombstone): everything that later pushes need
//! (§3.1, §3.6, §4.9), and its last payload only if both are small. A snapshot reads the rows of
//! deleted resources without returning them, so their size is limited to [`TOMBSTONE_BYTES_MAX`].

mod unpack;

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::model::{
    json::Json,
    limits::{PAYLOAD_BYTES_MAX, TOMBSTONE_BYTES_MAX},
    pack::pack,
    resource::{PayloadLocation, Resource, ResourceKey},
};

use super::resolution::StoredResolution;
use crate::{error::Error, tables::conflicts::versions::number_of};

pub(super) use unpack::read;

/// Maximum size of an unpacked tombstone in bytes, with a margin: names, resolutions, edits and a
/// small payload.
const MEMORY_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// Size in bytes of a row without its keys and tombstone: attribute names and numbers.
const AROUND_BYTES: usize = 60;

/// The content of a tombstone. Its field names are short because every deleted resource stores
/// them.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    /// The payload, if it is not stored in a separate row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<Json>,
    /// Otherwise the number under which the payload is stored, and its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<(u64, usize)>,
    /// The run: author, first version, highest `client_version`, `echo_to_author`.
    r: (String, u64, u64, bool),
    /// The author of the create, if it differs from the author of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    /// Base64 encodings of the create's digest, the edits, the client-version high-water marks and
    /// the field versions.
    b: [String; 4],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    s: Vec<StoredResolution>,
}

/// Packs the content of a deleted resource as its row stores it.
pub(super) fn packed(
    tenant: &str,
    key: &ResourceKey,
    resource: &Resource,
) -> Result<Vec<u8>, Error> {
    match kept_apart(tenant, key, resource)? {
        None => memory(resource, None),
        kept => memory(resource, kept),
    }
}

/// Returns where the payload of a deleted resource is stored, if its row does not contain it.
pub(super) fn kept_apart(
    tenant: &str,
    key: &ResourceKey,
    resource: &Resource,
) -> Result<Option<PayloadLocation>, Error> {
    if resource.kept.is_some() {
        return Ok(resource.kept);
    }

    let bytes = resource.payload.get().len();
    let number = number_of(
        resource.server_version,
        &resource.payload,
        Some(&resource.fields),
    );
    let kept = PayloadLocation { number, bytes };

    // A payload of more than 20 times the limit cannot be packed into it.
    if bytes > 20 * TOMBSTONE_BYTES_MAX {
        return Ok(Some(kept));
    }

    let keys = key.channel.partition(tenant).len() + key.sort_key().len();
    let is_small = keys + AROUND_BYTES + memory(resource, None)?.len() <= TOMBSTONE_BYTES_MAX;
    Ok((!is_small).then_some(kept))
}

fn memory(resource: &Resource, kept: Option<PayloadLocation>) -> Result<Vec<u8>, Error> {
    let Resource { run, creation, .. } = resource;
    let fields = if kept.is_none() {
        resource.fields.to_bytes()
    } else {
        Vec::new()
    };

    let memory = Memory {
        p: kept.is_none().then(|| resource.payload.clone()),
        k: kept.map(|kept| (kept.number, kept.bytes)),
        r: (
            run.author.as_str().to_owned(),
            run.began,
            run.client_version_max,
            run.echo_to_author,
        ),
        c: Some(&creation.author)
            .filter(|author| **author != run.author)
            .map(|author| author.as_str().to_owned()),
        t: creation.client_temp_id.clone(),
        b: [
            creation.digest.to_vec(),
            resource.edits.to_bytes(),
            resource.high_water_marks.to_bytes(),
            fields,
        ]
        .map(|it| BASE64.encode(it)),
        s: resource.resolutions.iter().map(Into::into).collect(),
    };

    Ok(pack(
        &serde_json::to_vec(&memory).map_err(|error| Error::unencoded("tombstone", error))?,
    ))
}

/// Returns an empty object, in place of a payload that was not loaded.
pub(super) fn nothing() -> Json {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
