//! The row of a resource as it is deserialized.

use serde::Deserialize;
use tidemark_core::model::{
    field_versions::FieldVersions,
    principal::Author,
    resource::{Creation, Edits, HighWaterMarks, Resource, Run},
};

use super::super::{resolution::StoredResolution, tombstone};
use super::read_payload;
use crate::{error::Error, tables::moment};

/// The row as it is deserialized. Attributes that many rows have get short names, and the row is
/// flat so that one statement writes all of it. The row of a deleted resource has most of its
/// content packed in one attribute; earlier builds stored deleted resources like others.
#[derive(Debug, Deserialize)]
pub(crate) struct ResourceRow {
    pub(crate) pk: String,
    pub(crate) sk: String,
    pub(crate) server_version: u64,
    deleted: bool,
    changed_at: i64,
    #[serde(default, with = "serde_bytes")]
    tombstone: Option<Vec<u8>>,
    payload: Option<String>,
    run_by: Option<String>,
    run_began: Option<u64>,
    run_max: Option<u64>,
    run_unproven: Option<bool>,
    created_by: Option<String>,
    created_as: Option<String>,
    #[serde(default, with = "serde_bytes")]
    created_digest: Option<Vec<u8>>,
    #[serde(default, with = "serde_bytes")]
    edits: Option<Vec<u8>>,
    #[serde(default, with = "serde_bytes")]
    claims: Option<Vec<u8>>,
    #[serde(default)]
    resolutions: Vec<StoredResolution>,
    #[serde(default, with = "serde_bytes")]
    fields: Vec<u8>,
}

impl ResourceRow {
    /// Decodes the resource of a row.
    pub(crate) fn read(self) -> Result<Resource, Error> {
        let changed_at = moment(self.changed_at)?;
        if let Some(packed) = self.tombstone.as_ref().filter(|_| self.deleted) {
            return tombstone::read(packed, self.server_version, changed_at);
        }

        let edits = self.edits.as_deref().and_then(Edits::from_bytes);
        let claims = self.claims.as_deref().and_then(HighWaterMarks::from_bytes);
        let fields = FieldVersions::from_bytes(&self.fields);
        let payload = self.payload.clone();

        Ok(Resource {
            edits: edits.ok_or_else(|| self.unreadable("edits"))?,
            high_water_marks: claims.ok_or_else(|| self.unreadable("claims"))?,
            fields: fields.ok_or_else(|| self.unreadable("fields"))?,
            run: self.run()?,
            creation: self.creation()?,
            payload: read_payload(payload.ok_or_else(|| self.unreadable("payload"))?)?,
            kept: None,
            server_version: self.server_version,
            deleted: self.deleted,
            changed_at,
            resolutions: self.resolutions.into_iter().map(Into::into).collect(),
        })
    }

    fn run(&self) -> Result<Run, Error> {
        let author = author(&self.run_by).ok_or_else(|| self.unreadable("run_by"))?;
        let echo_to_author = self.run_unproven;
        Ok(Run {
            author,
            began: self.run_began.ok_or_else(|| self.unreadable("run_began"))?,
            client_version_max: self.run_max.ok_or_else(|| self.unreadable("run_max"))?,
            echo_to_author: echo_to_author.ok_or_else(|| self.unreadable("run_unproven"))?,
        })
    }

    fn creation(&self) -> Result<Creation, Error> {
        let author = author(&self.created_by).ok_or_else(|| self.unreadable("created_by"))?;
        let digest = self
            .created_digest
            .as_deref()
            .and_then(|digest| digest.try_into().ok());
        Ok(Creation {
            author,
            client_temp_id: self.created_as.clone(),
            digest: digest.ok_or_else(|| self.unreadable("created_digest"))?,
        })
    }

    /// Returns the error for an attribute that is missing or cannot be decoded.
    fn unreadable(&self, attribute: &str) -> Error {
        let Self { pk, sk, .. } = self;
        Error::unreadable("resource", format!("{attribute} of {pk} / {sk}"))
    }
}

fn author(stored: &Option<String>) -> Option<Author> {
    stored.clone().map(Author::stored)
}
