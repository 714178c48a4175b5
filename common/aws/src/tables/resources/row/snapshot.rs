//! The part of a row that a snapshot page needs.

use serde::Deserialize;
use tidemark_core::rules::pull::page::SnapshotItem;

use super::super::{resolution::StoredResolution, tombstone};
use super::read_payload;
use crate::{error::Error, tables::moment};

/// Projection of the attributes that a snapshot page needs.
pub(crate) const SHOWN: &str = "pk, sk, payload, server_version, deleted, changed_at, resolutions";

/// The projected part of the row as it is deserialized.
#[derive(Debug, Deserialize)]
pub(crate) struct SnapshotRow {
    payload: Option<String>,
    server_version: u64,
    deleted: bool,
    changed_at: i64,
    #[serde(default)]
    resolutions: Vec<StoredResolution>,
}

impl SnapshotRow {
    pub(crate) fn read(self) -> Result<SnapshotItem, Error> {
        let payload = match self.payload {
            // A snapshot omits the payload of a deleted resource.
            _ if self.deleted => tombstone::nothing(),
            Some(payload) => read_payload(payload)?,
            None => return Err(Error::unreadable("resource", "payload")),
        };

        Ok(SnapshotItem {
            payload,
            server_version: self.server_version,
            deleted: self.deleted,
            changed_at: moment(self.changed_at)?,
            resolutions: self.resolutions.into_iter().map(Into::into).collect(),
        })
    }
}
