//! Unique fields (§3.9): which values a resource holds, and what a change of it claims and frees.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::{
    catalog::ResourceType,
    json::{self, Json},
    key,
    resource::{Resource, ResourceKey},
};

/// A value of a unique field, within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey {
    /// Whose.
    pub tenant: String,
    /// The type of the resources that share no value.
    pub resource_type: String,
    /// The field.
    pub field: String,
    /// Digest of the canonical value, hexadecimal.
    pub value: String,
}

impl UniqueKey {
    /// The partition key `tenant#type#field`.
    pub fn partition(&self) -> String {
        key::join([&self.tenant, &self.resource_type, &self.field])
    }
}

/// What a change of a resource does to unique values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UniqueChange {
    /// Values it holds from now on.
    pub claims: Vec<UniqueKey>,
    /// Values it holds no longer.
    pub frees: Vec<UniqueKey>,
}

impl UniqueChange {
    /// What becomes of the unique values when the row of `key` changes from `before` to `after`. A
    /// deleted resource holds none.
    pub fn between(
        rules: &ResourceType,
        tenant: &str,
        key: &ResourceKey,
        before: Option<&Resource>,
        after: Option<&Resource>,
    ) -> Self {
        if rules.unique.is_empty() {
            return Self::default();
        }
        let held = |resource: Option<&Resource>| match resource.filter(|resource| !resource.deleted)
        {
            None => BTreeSet::new(),
            Some(resource) => values(rules, tenant, key, &resource.payload),
        };
        let (before, after) = (held(before), held(after));
        Self {
            claims: after.difference(&before).cloned().collect(),
            frees: before.difference(&after).cloned().collect(),
        }
    }

    /// Whether no value changes hands.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.frees.is_empty()
    }

    /// Every value that changes hands.
    pub fn touched(&self) -> impl Iterator<Item = &UniqueKey> {
        self.claims.iter().chain(&self.frees)
    }
}

/// The values of unique fields in a payload; `null` is none, and the empty text is none if the
/// catalog says so.
pub fn values(
    rules: &ResourceType,
    tenant: &str,
    key: &ResourceKey,
    payload: &RawValue,
) -> BTreeSet<UniqueKey> {
    let mut fields = json::fields(payload).unwrap_or_default();
    values_of(rules, tenant, key, |field| fields.shift_remove(field))
}

/// The same of a payload with these fields.
pub(crate) fn values_of(
    rules: &ResourceType,
    tenant: &str,
    key: &ResourceKey,
    mut value_of: impl FnMut(&str) -> Option<Json>,
) -> BTreeSet<UniqueKey> {
    let values = rules.unique.iter().filter_map(|field| {
        let is_none =
            |value: &str| value == "null" || (rules.unique_ignores_empty && value == "\"\"");
        let value = value_of(field).filter(|value| !is_none(value.get()))?;
        let canonical = json::canonical(&value).unwrap_or_else(|_| value.get().to_owned());
        Some(UniqueKey {
            tenant: tenant.to_owned(),
            resource_type: key.resource_type.clone(),
            field: field.clone(),
            value: json::hex(&json::digest([canonical.as_bytes()])),
        })
    });
    values.collect()
}
