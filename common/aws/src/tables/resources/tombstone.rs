//! What the row of a deleted resource holds: all that it has to remember (§3.1, §3.6, §4.9),
//! packed, and its last payload only where both are small. A snapshot reads such rows and shows
//! none of them, so they are kept to [`TOMBSTONE_BYTES_MAX`].

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    conflict::ConflictResolution,
    field_versions::FieldVersions,
    json::Json,
    limits::{PAYLOAD_BYTES_MAX, TOMBSTONE_BYTES_MAX},
    pack::{pack, unpack},
    principal::Author,
    resource::{Creation, Edits, HighWaterMarks, PayloadLocation, Resource, ResourceKey, Run},
};

use crate::{failure::Failure, tables::conflicts::versions::number_of};

/// Bytes of a packed memory at most, with room: names, decisions, edits and a small payload.
const MEMORY_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// Bytes of a row beside its keys and its memory: the names of its attributes, and the numbers.
const AROUND_BYTES: usize = 60;

/// The memory of a deleted resource. Names are short, because there is one for each.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    /// The payload, where it is not kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<Json>,
    /// Else the number that it is kept under, and its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<(u64, usize)>,
    /// The run: author, first version, highest `client_version`, whether it is unproven.
    r: (Author, u64, u64, bool),
    /// The author of the create, if another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<Author>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    /// Bytes, as base64: digest of the create, edits, claims, fields.
    b: [String; 4],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    s: Vec<ConflictResolution>,
}

/// The memory of a resource that is deleted, as its row holds it.
pub(super) fn packed(
    tenant: &str,
    key: &ResourceKey,
    resource: &Resource,
) -> Result<Vec<u8>, Failure> {
    match kept_apart(tenant, key, resource)? {
        None => memory(resource, None),
        kept => memory(resource, kept),
    }
}

/// Where the payload of a resource that is deleted is kept, if its row does not hold it.
pub(super) fn kept_apart(
    tenant: &str,
    key: &ResourceKey,
    resource: &Resource,
) -> Result<Option<PayloadLocation>, Failure> {
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
    // What is larger than its bound does not pack into it.
    if bytes > 20 * TOMBSTONE_BYTES_MAX {
        return Ok(Some(kept));
    }
    let keys = key.channel.partition(tenant).len() + key.sort_key().len();
    let is_small = keys + AROUND_BYTES + memory(resource, None)?.len() <= TOMBSTONE_BYTES_MAX;
    Ok((!is_small).then_some(kept))
}

fn memory(resource: &Resource, kept: Option<PayloadLocation>) -> Result<Vec<u8>, Failure> {
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
            run.author.clone(),
            run.began,
            run.client_version_max,
            run.is_optimistic,
        ),
        c: Some(creation.author.clone()).filter(|author| *author != run.author),
        t: creation.client_temp_id.clone(),
        b: [
            creation.digest.to_vec(),
            resource.edits.to_bytes(),
            resource.claims.to_bytes(),
            fields,
        ]
        .map(|it| BASE64.encode(it)),
        s: resource.resolutions.clone(),
    };
    Ok(pack(
        &serde_json::to_vec(&memory).map_err(|error| Failure::undecoded("tombstone", error))?,
    ))
}

/// Reads a memory back.
pub(super) fn read(
    packed: &[u8],
    server_version: u64,
    changed_at: chrono::DateTime<chrono::Utc>,
) -> Result<Resource, Failure> {
    let unreadable = |what: &str| Failure::unreadable("tombstone", what);
    let text =
        unpack(packed, MEMORY_BYTES_MAX).map_err(|error| Failure::undecoded("tombstone", error))?;
    let memory: Memory =
        serde_json::from_slice(&text).map_err(|error| Failure::undecoded("tombstone", error))?;
    let [digest, edits, claims, fields] = memory.b.map(|text| BASE64.decode(text));
    let bytes = |bytes: Result<Vec<u8>, _>| bytes.map_err(|_| unreadable("bytes"));
    let (author, began, client_version_max, is_optimistic) = memory.r;
    let creation = Creation {
        author: memory.c.unwrap_or_else(|| author.clone()),
        client_temp_id: memory.t,
        digest: bytes(digest)?
            .try_into()
            .map_err(|_| unreadable("digest"))?,
    };
    Ok(Resource {
        payload: memory.p.unwrap_or_else(nothing),
        kept: memory
            .k
            .map(|(number, bytes)| PayloadLocation { number, bytes }),
        server_version,
        deleted: true,
        changed_at,
        run: Run {
            author,
            began,
            client_version_max,
            is_optimistic,
        },
        creation,
        edits: Edits::from_bytes(&bytes(edits)?).ok_or_else(|| unreadable("edits"))?,
        claims: HighWaterMarks::from_bytes(&bytes(claims)?).ok_or_else(|| unreadable("claims"))?,
        resolutions: memory.s,
        fields: FieldVersions::from_bytes(&bytes(fields)?).ok_or_else(|| unreadable("fields"))?,
    })
}

/// In place of a payload that was not looked up.
pub(super) fn nothing() -> Json {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
