//! Unique fields (§3.9): the values that a resource holds, and the values that a change claims and
//! frees.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::model::{
    catalog::ResourceType,
    json::{self, Json},
    key,
    resource::{Resource, ResourceKey},
};

/// A value of a unique field within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey {
    /// The tenant that the value belongs to.
    pub tenant: String,
    /// The type of the resources among which the value is unique.
    pub resource_type: String,
    /// The name of the unique field.
    pub field: String,
    /// Digest of the canonical value, in hexadecimal.
    pub value: String,
}

impl UniqueKey {
    /// Returns the partition key `tenant#type#field`.
    pub fn partition(&self) -> String {
        key::join([&self.tenant, &self.resource_type, &self.field])
    }
}

/// The effect of a change of a resource on unique values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UniqueChange {
    /// Values that the resource holds after the change but did not hold before.
    pub claims: Vec<UniqueKey>,
    /// Values that the resource no longer holds after the change.
    pub frees: Vec<UniqueKey>,
}

impl UniqueChange {
    /// Returns the effect on unique values when the row of `key` changes from `before` to `after`.
    /// A deleted resource holds none.
    ///
    /// # Example
    ///
    /// ```
    /// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
    /// use tidemark_core::{model::resource::Resource, rules::unique::{UniqueChange, values}};
    ///
    /// let phone = phone::Phone::new();
    /// let rules = phone.catalog.get("meter").unwrap();
    /// let meter = phone::meter("m-1");
    /// let [a, b] = [r#"{"code": "A"}"#, r#"{"code": "B"}"#].map(phone::stored);
    /// let values = |row: &Resource| Vec::from_iter(values(rules, "acme", &meter, &row.payload));
    ///
    /// let change = UniqueChange::between(rules, "acme", &meter, Some(&a), Some(&b));
    /// assert_eq!((change.claims, change.frees), (values(&b), values(&a)));
    ///
    /// // A delete frees the values.
    /// let deleted = Resource { deleted: true, ..a.clone() };
    /// let change = UniqueChange::between(rules, "acme", &meter, Some(&a), Some(&deleted));
    /// assert_eq!((change.claims, change.frees), (vec![], values(&a)));
    /// ```
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

    /// Returns whether the change claims and frees no value.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.frees.is_empty()
    }

    /// Returns every value that the change claims or frees.
    pub fn touched(&self) -> impl Iterator<Item = &UniqueKey> {
        self.claims.iter().chain(&self.frees)
    }
}

/// Returns the values of the unique fields in a payload. `null` is not a value, nor is the empty
/// string if the catalog excludes it.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::rules::unique::values;
///
/// // The unique field of meters is `code`.
/// let phone = phone::Phone::new();
/// let rules = phone.catalog.get("meter").unwrap();
/// let values =
///     |payload: &str| values(rules, "acme", &phone::meter("m-1"), &phone::raw(payload));
///
/// let held = values(r#"{"code": "A", "unit": "kWh"}"#);
/// assert!(held.iter().map(|value| &value.field).eq(["code"]));
/// // The spelling of the value does not matter, and `null` is not a value.
/// assert_eq!(held, values(r#"{"code": "\u0041"}"#));
/// assert!(values(r#"{"code": null}"#).is_empty());
/// ```
pub fn values(
    rules: &ResourceType,
    tenant: &str,
    key: &ResourceKey,
    payload: &RawValue,
) -> BTreeSet<UniqueKey> {
    let mut fields = json::fields(payload).unwrap_or_default();
    values_of(rules, tenant, key, |field| fields.shift_remove(field))
}

/// Returns the values of the unique fields, with `value_of` returning the value of a field.
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
