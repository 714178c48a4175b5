//! Conversion between rows of `resources` and resources.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::Scope,
        field_versions::FieldVersions,
        json::Json,
        principal::Author,
        resource::{Creation, Edits, HighWaterMarks, Resource, ResourceKey, Run},
    },
    rules::pull::page::SnapshotItem,
};

use super::{resolution::StoredResolution, tombstone};
use crate::{
    error::Error,
    tables::{Row, Table, from_row, moment, text},
};

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

/// Projection of the attributes that a snapshot page needs.
pub(super) const SHOWN: &str = "pk, sk, payload, server_version, deleted, changed_at, resolutions";

/// The projected part of the row as it is deserialized.
#[derive(Debug, Deserialize)]
pub(super) struct SnapshotRow {
    payload: Option<String>,
    server_version: u64,
    deleted: bool,
    changed_at: i64,
    #[serde(default)]
    resolutions: Vec<StoredResolution>,
}

/// The attributes that every change of a resource writes.
pub(super) const CHANGED: [&str; 12] = [
    "payload",
    "server_version",
    "deleted",
    "changed_at",
    "run_by",
    "run_began",
    "run_max",
    "run_unproven",
    "edits",
    "claims",
    "resolutions",
    "fields",
];

/// Returns the values of [`CHANGED`] in that order.
pub(super) fn changed(resource: &Resource) -> Result<[AttributeValue; 12], Error> {
    let Resource {
        payload,
        server_version,
        deleted,
        changed_at,
        run,
        edits,
        high_water_marks: claims,
        resolutions,
        fields,
        ..
    } = resource;

    let resolutions: Vec<StoredResolution> = resolutions.iter().map(Into::into).collect();
    let resolutions = serde_dynamo::to_attribute_value(resolutions);
    Ok([
        AttributeValue::S(payload.get().to_owned()),
        number(server_version),
        AttributeValue::Bool(*deleted),
        number(changed_at.timestamp_millis()),
        AttributeValue::S(run.author.as_str().to_owned()),
        number(run.began),
        number(run.client_version_max),
        AttributeValue::Bool(run.echo_to_author),
        bytes(edits.to_bytes()),
        bytes(claims.to_bytes()),
        resolutions.map_err(|error| Error::unencoded("row to write", error))?,
        bytes(fields.to_bytes()),
    ])
}

/// The attributes of a deleted resource: the ones needed without unpacking, and the tombstone.
pub(super) const DELETED: [&str; 4] = ["server_version", "deleted", "changed_at", TOMBSTONE];
/// The attribute that holds the packed content of a deleted resource.
pub(super) const TOMBSTONE: &str = "tombstone";

/// Returns the values of [`DELETED`] in that order.
pub(super) fn deleted(
    tenant: &str,
    key: &ResourceKey,
    resource: &Resource,
) -> Result<[AttributeValue; 4], Error> {
    Ok([
        number(resource.server_version),
        AttributeValue::Bool(true),
        number(resource.changed_at.timestamp_millis()),
        bytes(tombstone::packed(tenant, key, resource)?),
    ])
}

/// The attributes that describe the create of a resource. A change writes them too, because the row
/// may be that of a deleted resource.
pub(super) const CREATED: [&str; 3] = ["created_by", "created_as", "created_digest"];

/// Returns the values of [`CREATED`] in that order.
pub(super) fn created(creation: &Creation) -> [AttributeValue; 3] {
    [
        AttributeValue::S(creation.author.as_str().to_owned()),
        creation
            .client_temp_id
            .clone()
            .map_or(AttributeValue::Null(true), AttributeValue::S),
        bytes(creation.digest.to_vec()),
    ]
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn bytes(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

impl ResourceRow {
    /// Decodes the resource of a row.
    pub(crate) fn read(self) -> Result<Resource, Error> {
        let changed_at = moment(self.changed_at)?;
        if let Some(packed) = self.tombstone.as_ref().filter(|_| self.deleted) {
            return tombstone::read(packed, self.server_version, changed_at);
        }

        let unreadable = |what: &str| {
            Error::unreadable("resource", format!("{what} of {} / {}", self.pk, self.sk))
        };

        let digest = self
            .created_digest
            .as_deref()
            .and_then(|digest| digest.try_into().ok());
        let edits = self.edits.as_deref().and_then(Edits::from_bytes);
        let claims = self.claims.as_deref().and_then(HighWaterMarks::from_bytes);

        Ok(Resource {
            edits: edits.ok_or_else(|| unreadable("edits"))?,
            high_water_marks: claims.ok_or_else(|| unreadable("claims"))?,
            fields: FieldVersions::from_bytes(&self.fields).ok_or_else(|| unreadable("fields"))?,
            run: Run {
                author: author(&self.run_by).ok_or_else(|| unreadable("run_by"))?,
                began: self.run_began.ok_or_else(|| unreadable("run_began"))?,
                client_version_max: self.run_max.ok_or_else(|| unreadable("run_max"))?,
                echo_to_author: self
                    .run_unproven
                    .ok_or_else(|| unreadable("run_unproven"))?,
            },
            creation: Creation {
                author: author(&self.created_by).ok_or_else(|| unreadable("created_by"))?,
                client_temp_id: self.created_as.clone(),
                digest: digest.ok_or_else(|| unreadable("created_digest"))?,
            },
            payload: read_payload(self.payload.clone().ok_or_else(|| unreadable("payload"))?)?,
            kept: None,
            server_version: self.server_version,
            deleted: self.deleted,
            changed_at,
            resolutions: self.resolutions.into_iter().map(Into::into).collect(),
        })
    }
}

impl SnapshotRow {
    pub(super) fn read(self) -> Result<SnapshotItem, Error> {
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

fn author(stored: &Option<String>) -> Option<Author> {
    stored.clone().map(Author::stored)
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
