//! Decodes the packed content of a deleted resource.

use crate::{error::Error, tables::from_packed};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use tidemark_core::model::{
    field_versions::FieldVersions,
    principal::Author,
    resource::{Creation, Edits, HighWaterMarks, PayloadLocation, Resource, Run},
};

use super::{MEMORY_BYTES_MAX, Memory, nothing};

/// Decodes a packed tombstone.
pub(crate) fn read(
    packed: &[u8],
    server_version: u64,
    changed_at: chrono::DateTime<chrono::Utc>,
) -> Result<Resource, Error> {
    let unreadable = |what: &str| Error::unreadable("tombstone", what);

    let memory: Memory = from_packed("tombstone", packed, MEMORY_BYTES_MAX)?;
    let [digest, edits, claims, fields] = memory.b.map(|text| BASE64.decode(text));
    let bytes = |bytes: Result<Vec<u8>, _>| bytes.map_err(|_| unreadable("bytes"));
    let (author, began, client_version_max, echo_to_author) = memory.r;
    let author = Author::stored(author);
    let creation = Creation {
        author: memory.c.map_or_else(|| author.clone(), Author::stored),
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
            echo_to_author,
        },
        creation,
        edits: Edits::from_bytes(&bytes(edits)?).ok_or_else(|| unreadable("edits"))?,
        high_water_marks: HighWaterMarks::from_bytes(&bytes(claims)?)
            .ok_or_else(|| unreadable("claims"))?,
        resolutions: memory.s.into_iter().map(Into::into).collect(),
        fields: FieldVersions::from_bytes(&bytes(fields)?).ok_or_else(|| unreadable("fields"))?,
    })
}
