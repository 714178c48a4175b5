//! The catalog (§2): the resource types that a deployment synchronizes, declared in `catalog.toml`.

mod error;
mod policy;

use std::collections::BTreeMap;

use crate::model::{channel::Channel, keyword::keywords};

pub use error::CatalogError;
pub use policy::Policy;

/// The resource types of a deployment.
#[derive(Debug, Clone)]
pub struct Catalog {
    types: BTreeMap<String, ResourceType>,
}

/// The rules of one resource type.
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// The channel of items that name none.
    pub channel: DefaultChannel,
    /// The prefix of ids that the server generates.
    pub id_prefix: String,
    /// Top-level fields that every stored payload has, with a value other than `null`.
    pub required: Vec<String>,
    /// Fields whose values are unique among the resources of the type within the tenant (§3.9).
    pub unique: Vec<String>,
    /// If true, the empty string is not a value of a unique field, like `null`: any number of
    /// resources may have it (§3.9).
    pub unique_ignores_empty: bool,
    /// Fields that contain media keys: one, or a list of them (§6).
    pub media: Vec<String>,
    /// Fields that refer to other resources, with the type that they refer to (§3.10).
    pub references: BTreeMap<String, String>,
    /// The conflict policy: how edits of two devices on the same version are resolved (§5).
    pub policy: Policy,
}

/// The channel of items that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultChannel {
    /// The channel that all users of the tenant share.
    Tenant,
    /// The channel of the pushing user.
    User,
    /// The channel of a group, which each item must name.
    Group,
}

keywords!(DefaultChannel, "channel", Tenant => "tenant", User => "user", Group => "group");

impl Catalog {
    /// Creates a catalog of these types by name.
    ///
    /// # Errors
    /// Returns a [`CatalogError`] that names the type and what to change.
    pub fn new(types: BTreeMap<String, ResourceType>) -> Result<Self, CatalogError> {
        for (name, resource_type) in &types {
            if !is_name(name) || !is_name(&resource_type.id_prefix) {
                return Err(CatalogError::Name(name.clone()));
            }
            if resource_type.unique_ignores_empty && resource_type.unique.is_empty() {
                return Err(CatalogError::UniqueIgnoresEmpty(name.clone()));
            }
            for (field, target) in &resource_type.references {
                if !types.contains_key(target) {
                    return Err(CatalogError::Reference(
                        name.clone(),
                        field.clone(),
                        target.clone(),
                    ));
                }
            }
        }

        Ok(Self { types })
    }

    /// Returns the types by name, in alphabetical order.
    pub fn types(&self) -> impl Iterator<Item = (&str, &ResourceType)> {
        self.types
            .iter()
            .map(|(name, rules)| (name.as_str(), rules))
    }

    /// Returns the rules of the type `name`.
    pub fn get(&self, name: &str) -> Option<&ResourceType> {
        self.types.get(name)
    }

    /// Returns whether any type has a field that refers to resources of this type (§3.10).
    pub fn is_referred_to(&self, name: &str) -> bool {
        self.types
            .values()
            .any(|rules| rules.references.values().any(|target| target == name))
    }
}

impl ResourceType {
    /// Returns the channel of `user`'s items that name none; `None` if items of the type must name
    /// a channel.
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
