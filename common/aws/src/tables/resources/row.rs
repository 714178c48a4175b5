//! Conversion between rows of `resources` and resources.

mod encode;
mod resource;
mod snapshot;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tidemark_core::model::{channel::Scope, json::Json, resource::ResourceKey};

use crate::{
    error::Error,
    tables::{Row, Table, from_row, text},
};

pub(super) use encode::{CHANGED, CREATED, DELETED, TOMBSTONE, changed, created, deleted, number};
pub(crate) use resource::ResourceRow;
pub(super) use snapshot::{SHOWN, SnapshotRow};

/// The version of a row, which all formats of rows store as an attribute of its own.
#[derive(Debug, Deserialize)]
pub(super) struct StoredVersion {
    pub(super) server_version: u64,
}

fn read_payload(payload: String) -> Result<Json, Error> {
    RawValue::from_string(payload).map_err(|error| Error::undecoded("payload", error))
}

/// Parses the key of a row into its scope and resource key.
pub(crate) fn identify(pk: &str, sk: &str) -> Result<(Scope, ResourceKey), Error> {
    let scope = Scope::parse(pk).ok_or_else(|| Error::unreadable("partition of a resource", pk))?;
    let key = ResourceKey::parse(&scope, sk)
        .ok_or_else(|| Error::unreadable("sort key of a resource", sk))?;
    Ok((scope, key))
}

/// Decodes a row with its key. Logs and counts a row that cannot be decoded, which was written by
/// hand or by another version, and returns `None` for it, so that it does not affect other rows.
pub(super) fn read_row<T: DeserializeOwned, R>(
    table: &Table,
    row: Row,
    read: impl FnOnce(T) -> Result<R, Error>,
) -> Result<(ResourceKey, Option<R>), Error> {
    let part = |name| text(&row, name).unwrap_or_default();
    let (scope, key) = identify(part("pk"), part("sk"))?;
    let read = from_row::<T>("resource", row).and_then(read);
    if let Err(failure) = &read {
        tracing::error!(%failure, pk = scope.partition(), sk = key.sort_key(), "stored resource cannot be decoded");
        table.count_corrupt();
    }
    Ok((key, read.ok()))
}
