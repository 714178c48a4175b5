//! Encodes resources as attributes of rows.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use tidemark_core::model::resource::{Creation, Resource, ResourceKey};

use super::super::{resolution::StoredResolution, tombstone};
use crate::error::Error;

/// The attributes that every change of a resource writes.
pub(crate) const CHANGED: [&str; 12] = [
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
pub(crate) fn changed(resource: &Resource) -> Result<[AttributeValue; 12], Error> {
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
pub(crate) const DELETED: [&str; 4] = ["server_version", "deleted", "changed_at", TOMBSTONE];
/// The attribute that holds the packed content of a deleted resource.
pub(crate) const TOMBSTONE: &str = "tombstone";

/// Returns the values of [`DELETED`] in that order.
pub(crate) fn deleted(
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
pub(crate) const CREATED: [&str; 3] = ["created_by", "created_as", "created_digest"];

/// Returns the values of [`CREATED`] in that order.
pub(crate) fn created(creation: &Creation) -> [AttributeValue; 3] {
    [
        AttributeValue::S(creation.author.as_str().to_owned()),
        creation
            .client_temp_id
            .clone()
            .map_or(AttributeValue::Null(true), AttributeValue::S),
        bytes(creation.digest.to_vec()),
    ]
}

pub(crate) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn bytes(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}
