//! Payloads of versions of resources that conflicts and deleted resources refer to:
//! `tenant#channel` / `v#type#id#number`. Each is written once, before what refers to it, and never
//! changed, however many conflicts there are about the version.
//!
//! The number is the version, where the resource is stored. A payload that is kept before its
//! version is stored has a number that follows from its content ([`number_of`]): another request
//! may be faster, and the version may then hold something else.
//!
//! A small row beside it (`m#…`) says that it is there: a write that finds the row itself would
//! cost as much as one that makes it.

use std::collections::HashSet;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    field_versions::FieldVersions,
    json::{Json, digest},
    key,
    limits::{PAYLOAD_BYTES_MAX, VERSION_MAX},
    pack::{pack, unpack},
    resource::ResourceKey,
};

use super::Conflicts;
use crate::{
    failure::Failure,
    tables::{Row, from_row, key as row_key, statements::statement, text},
};

const PAYLOAD: &str = "v#";
const MARK: &str = "m#";

/// A version whose payload is kept.
#[derive(Debug, Clone)]
pub(crate) struct Version<'a> {
    /// Of which resource.
    pub(crate) resource: &'a ResourceKey,
    /// The number that it is kept under.
    pub(crate) number: u64,
    /// What it held.
    pub(crate) payload: &'a Json,
    /// Who wrote which field last, where a deleted resource may be brought back.
    pub(crate) fields: Option<&'a FieldVersions>,
}

#[derive(Debug, Deserialize)]
struct VersionRow {
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
    #[serde(default, with = "serde_bytes")]
    fields: Vec<u8>,
}

/// The number under which a payload is kept whose version is not stored yet. It is above every
/// version, and that of one content alone.
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

/// The key of the row that keeps a version.
pub(super) fn version_key(tenant: &str, resource: &ResourceKey, number: u64) -> Row {
    at(PAYLOAD, tenant, resource, number)
}

fn at(kind: &str, tenant: &str, resource: &ResourceKey, number: u64) -> Row {
    let name = key::join([&resource.resource_type, &resource.id, &number.to_string()]);
    row_key(resource.channel.partition(tenant), format!("{kind}{name}"))
}

/// The payload of a row that keeps a version, as text.
pub(super) fn payload_of(row: Row) -> Result<String, Failure> {
    let row: VersionRow = from_row("version of a resource", row)?;
    unpacked(&row.packed)
}

fn unpacked(packed: &[u8]) -> Result<String, Failure> {
    // A payload is stored after merging; one of an earlier bound may be a little larger.
    let text = unpack(packed, 2 * PAYLOAD_BYTES_MAX)
        .map_err(|error| Failure::undecoded("version of a resource", error))?;
    String::from_utf8(text).map_err(|error| Failure::undecoded("version of a resource", error))
}

impl Conflicts {
    /// Keeps versions of a tenant's resources: those that are kept already are not written again.
    pub(super) async fn share_versions(
        &self,
        tenant: &str,
        versions: &[Version<'_>],
    ) -> Result<Vec<Row>, Failure> {
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
        self.keep_versions(tenant, &missing).await?;
        Ok(missing.iter().map(mark).collect())
    }

    /// Keeps versions of a tenant's resources.
    ///
    /// # Errors
    /// An outage. A retry keeps the same.
    pub(crate) async fn keep_versions(
        &self,
        tenant: &str,
        versions: &[Version<'_>],
    ) -> Result<(), Failure> {
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
            .try_for_each(super::record::is_there)
    }

    /// What a version held, and who had written which of its fields; `None` where it is not kept.
    ///
    /// # Errors
    /// An outage, or a row that does not read.
    pub async fn version(
        &self,
        tenant: &str,
        resource: &ResourceKey,
        number: u64,
    ) -> Result<Option<(Json, FieldVersions)>, Failure> {
        let Some(row) = self
            .0
            .batch_get(vec![version_key(tenant, resource, number)])
            .await?
            .pop()
        else {
            return Ok(None);
        };
        let row: VersionRow = from_row("version of a resource", row)?;
        let fields = FieldVersions::from_bytes(&row.fields);
        let fields =
            fields.ok_or_else(|| Failure::unreadable("version of a resource", "fields"))?;
        let payload = RawValue::from_string(unpacked(&row.packed)?);
        Ok(Some((
            payload.map_err(|error| Failure::undecoded("payload", error))?,
            fields,
        )))
    }
}
