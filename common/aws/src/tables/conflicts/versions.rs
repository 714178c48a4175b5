//! Payloads of resource versions to which conflicts and deleted resources refer: `tenant#channel` /
//! `v#type#id#number`. Each is written once, before the row that refers to it, and is immutable,
//! regardless of the number of conflicts about the version.
//!
//! The number is the server version if that version is stored. A payload that is stored before its
//! version has a number derived from its content ([`number_of`]), because a concurrent update may
//! store another payload under that version.
//!
//! A small marker row (`m#…`) records that the payload exists: a conditional write of the payload
//! row costs the same whether it fails or succeeds.

use std::collections::HashSet;

use crate::tables::format::{pack, unpack};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::model::{
    field_versions::FieldVersions,
    json::{Json, digest},
    key,
    limits::{PAYLOAD_BYTES_MAX, VERSION_MAX},
    resource::ResourceKey,
};

use super::Conflicts;
use crate::{
    error::Error,
    tables::{Row, from_row, key as row_key, statements::statement, text},
};

const PAYLOAD: &str = "v#";
const MARK: &str = "m#";

/// A version of a resource whose payload is stored.
#[derive(Debug, Clone)]
pub(crate) struct Version<'a> {
    /// The resource that the version belongs to.
    pub(crate) resource: &'a ResourceKey,
    /// The number under which the payload is stored.
    pub(crate) number: u64,
    /// The payload of the version.
    pub(crate) payload: &'a Json,
    /// The field versions, needed if the resource is deleted and may be restored.
    pub(crate) fields: Option<&'a FieldVersions>,
}

#[derive(Debug, Deserialize)]
struct PayloadVersionRow {
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
    #[serde(default, with = "serde_bytes")]
    fields: Vec<u8>,
}

/// Returns the number for a payload whose version is not stored yet. It is greater than every
/// version and is derived from the content alone.
pub(in crate::tables) fn number_of(
    server_version: u64,
    payload: &Json,
    fields: Option<&FieldVersions>,
) -> u64 {
    let fields = fields.map(FieldVersions::to_bytes).unwrap_or_default();
    let digest = digest([
        &server_version.to_be_bytes()[..],
        payload.get().as_bytes(),
        &fields,
    ]);

    let bits = digest
        .iter()
        .take(8)
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    VERSION_MAX + 1 + (bits >> 11)
}

/// Returns the key of the row that stores a version.
pub(super) fn version_key(tenant: &str, resource: &ResourceKey, number: u64) -> Row {
    at(PAYLOAD, tenant, resource, number)
}

fn at(kind: &str, tenant: &str, resource: &ResourceKey, number: u64) -> Row {
    let name = key::join([&resource.resource_type, &resource.id, &number.to_string()]);
    row_key(resource.channel.partition(tenant), format!("{kind}{name}"))
}

/// Returns the payload in a row that stores a version.
pub(super) fn payload_of(row: Row) -> Result<String, Error> {
    let row: PayloadVersionRow = from_row("version of a resource", row)?;
    unpacked(&row.packed)
}

fn unpacked(packed: &[u8]) -> Result<String, Error> {
    // Payloads are stored after merging, and earlier builds had a slightly larger limit.
    let text = unpack(packed, 2 * PAYLOAD_BYTES_MAX)
        .map_err(|error| Error::undecoded("version of a resource", error))?;
    String::from_utf8(text).map_err(|error| Error::undecoded("version of a resource", error))
}

impl Conflicts {
    /// Stores versions of a tenant's resources that are not stored yet. Returns the marker rows for
    /// them, which the caller writes later.
    pub(super) async fn store_new_versions(
        &self,
        tenant: &str,
        versions: &[Version<'_>],
    ) -> Result<Vec<Row>, Error> {
        let mark = |version: &Version<'_>| at(MARK, tenant, version.resource, version.number);
        let name = |row: &Row| {
            [text(row, "pk"), text(row, "sk")].map(|part| part.unwrap_or_default().to_owned())
        };

        let known = self
            .0
            .batch_get(versions.iter().map(mark).collect())
            .await?;
        let known: HashSet<[String; 2]> = known.iter().map(name).collect();

        let missing: Vec<Version<'_>> = versions
            .iter()
            .filter(|version| !known.contains(&name(&mark(version))))
            .cloned()
            .collect();

        self.put_versions(tenant, &missing).await?;
        Ok(missing.iter().map(mark).collect())
    }

    /// Stores versions of a tenant's resources.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable. The operation is idempotent.
    pub(crate) async fn put_versions(
        &self,
        tenant: &str,
        versions: &[Version<'_>],
    ) -> Result<(), Error> {
        let insert = format!(
            "INSERT INTO \"{}\" VALUE {{'pk': ?, 'sk': ?, 'packed': ?, 'fields': ?}}",
            self.0.name
        );

        let bytes: Vec<usize> = versions
            .iter()
            .map(|version| version.payload.get().len())
            .collect();

        let build = |index: usize| {
            let version = &versions[index];
            let mut row = version_key(tenant, version.resource, version.number);
            let mut part = |name: &str| row.remove(name).unwrap_or(AttributeValue::Null(true));
            let key = [part("pk"), part("sk")];
            let packed = pack(version.payload.get().as_bytes());
            let fields = version
                .fields
                .map(FieldVersions::to_bytes)
                .unwrap_or_default();
            let values = [packed, fields].map(|bytes| AttributeValue::B(Blob::new(bytes)));
            statement(&insert, key.into_iter().chain(values).collect())
        };

        self.0
            .execute_all(&bytes, build)
            .await?
            .into_iter()
            .try_for_each(super::accept_existing)
    }

    /// Loads the payload and the field versions of a version; `None` if it is not stored.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the row
    /// cannot be decoded.
    pub async fn version(
        &self,
        tenant: &str,
        resource: &ResourceKey,
        number: u64,
    ) -> Result<Option<(Json, FieldVersions)>, Error> {
        let Some(row) = self
            .0
            .batch_get(vec![version_key(tenant, resource, number)])
            .await?
            .pop()
        else {
            return Ok(None);
        };

        let row: PayloadVersionRow = from_row("version of a resource", row)?;
        let fields = FieldVersions::from_bytes(&row.fields);
        let fields = fields.ok_or_else(|| Error::unreadable("version of a resource", "fields"))?;

        let payload = RawValue::from_string(unpacked(&row.packed)?);
        Ok(Some((
            payload.map_err(|error| Error::undecoded("payload", error))?,
            fields,
        )))
    }
}
