//! The catalog (§2): which resource types a deployment syncs, declared in `catalog.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::channel::Channel;

/// The resource types of a deployment.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Catalog {
    types: BTreeMap<String, ResourceType>,
}

/// What a deployment says of one type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceType {
    /// Where an item lives that names no channel.
    pub channel: DefaultChannel,
    /// What a server-made id begins with.
    pub id_prefix: String,
    /// Top-level fields every stored payload has, with a value other than `null`.
    #[serde(default)]
    pub required: Vec<String>,
    /// Fields no two resources of the type share a value of, within the tenant (§3.9).
    #[serde(default)]
    pub unique: Vec<String>,
    /// The empty text is no value of a unique field, like `null`: any number of resources may have
    /// it (§3.9).
    #[serde(default)]
    pub unique_ignores_empty: bool,
    /// Fields holding media keys: one, or a list of them (§6).
    #[serde(default)]
    pub media: Vec<String>,
    /// Fields that refer to other resources, and the type they refer to (§3.10).
    #[serde(default)]
    pub references: BTreeMap<String, String>,
    /// What happens when two devices edited the same version (§5).
    #[serde(default)]
    pub policy: Policy,
}

/// Where an item lives that names no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultChannel {
    /// The tenant's channel.
    Tenant,
    /// The channel of the user who pushes.
    User,
    /// A group's channel, which each item has to name.
    Group,
}

/// What happens when two devices edited the same version (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// An admin decides.
    #[default]
    Manual,
    /// Edits of different top-level fields merge.
    FieldMerge,
    /// The device's edit is applied.
    ClientWins,
    /// The device's edit is dropped.
    ServerWins,
}

/// Why a catalog is refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not TOML, or not of the catalog's shape.
    #[error("catalog: {0}")]
    Malformed(#[from] toml::de::Error),
    /// A name the keys of the tables cannot carry.
    #[error("catalog: type {0:?}: names and id prefixes are 1 to 64 of a-z, 0-9, '_' and '-'")]
    Name(String),
    /// A reference to a type the catalog lacks.
    #[error("catalog: type {0:?}: field {1:?} refers to {2:?}, which the catalog lacks")]
    Reference(String, String, String),
    /// `unique_ignores_empty` without a field that it could apply to.
    #[error(
        "catalog: type {0:?}: unique_ignores_empty applies to the fields of unique, which has none"
    )]
    UniqueIgnoresEmpty(String),
}

impl Catalog {
    /// Reads a catalog.
    ///
    /// # Errors
    /// [`CatalogError`] names the type and what to change.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let catalog: Self = toml::from_str(text)?;
        for (name, resource_type) in &catalog.types {
            if !is_name(name) || !is_name(&resource_type.id_prefix) {
                return Err(CatalogError::Name(name.clone()));
            }
            if resource_type.unique_ignores_empty && resource_type.unique.is_empty() {
                return Err(CatalogError::UniqueIgnoresEmpty(name.clone()));
            }
            for (field, target) in &resource_type.references {
                if !catalog.types.contains_key(target) {
                    return Err(CatalogError::Reference(
                        name.clone(),
                        field.clone(),
                        target.clone(),
                    ));
                }
            }
        }
        Ok(catalog)
    }

    /// What the catalog says of `name`.
    pub fn get(&self, name: &str) -> Option<&ResourceType> {
        self.types.get(name)
    }

    /// Whether a type has a field that refers to resources of this type (§3.10).
    pub fn is_referred_to(&self, name: &str) -> bool {
        self.types
            .values()
            .any(|rules| rules.references.values().any(|target| target == name))
    }
}

impl ResourceType {
    /// Where an item of `user` lives that names no channel; `None` when it has to name one.
    pub fn default_channel(&self, user: &str) -> Option<Channel> {
        match self.channel {
            DefaultChannel::Tenant => Some(Channel::Tenant),
            DefaultChannel::User => Some(Channel::User(user.to_owned())),
            DefaultChannel::Group => None,
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalog_reads() {
        let catalog = Catalog::parse(include_str!("../../../catalog.toml")).expect("catalog.toml");
        assert_eq!(
            catalog.get("task").map(|task| task.policy),
            Some(Policy::FieldMerge)
        );
        assert_eq!(
            catalog
                .get("submission")
                .and_then(|it| it.default_channel("ana")),
            Some(Channel::User("ana".into()))
        );
        assert!(catalog.get("invoice").is_none());
    }

    #[test]
    fn empty_text_is_a_unique_value_by_default() {
        let text = "[a]\nchannel = 'tenant'\nid_prefix = 'a'\nunique = ['code']\n";
        let ignores = |text: &str| {
            Catalog::parse(text)
                .expect("a catalog")
                .get("a")
                .map(|it| it.unique_ignores_empty)
        };
        assert_eq!(ignores(text), Some(false));
        assert_eq!(
            ignores(&format!("{text}unique_ignores_empty = false")),
            Some(false)
        );
        assert_eq!(
            ignores(&format!("{text}unique_ignores_empty = true")),
            Some(true)
        );
        assert_eq!(
            ignores("[a]\nchannel = 'tenant'\nid_prefix = 'a'\nunique_ignores_empty = false"),
            Some(false)
        );
    }

    #[test]
    fn a_catalog_that_cannot_work_is_refused() {
        for text in [
            "[meter]\nchannel = 'tenant'",
            "[Meter]\nchannel = 'tenant'\nid_prefix = 'm'",
            "[meter]\nchannel = 'nowhere'\nid_prefix = 'm'",
            "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\ncolour = 'red'",
            "[task]\nchannel = 'group'\nid_prefix = 't'\nreferences = { meter_id = 'meter' }",
            "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique_ignores_empty = true",
            "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = []\nunique_ignores_empty = true",
            "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\nunique_ignores_empty = 'yes'",
            "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\nunique_ignores_empty = ['code']",
        ] {
            assert!(Catalog::parse(text).is_err(), "{text}");
        }
    }
}
