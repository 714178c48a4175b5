//! The catalog as TOML (§2): the content of `catalog.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    model::catalog::{Catalog, CatalogError, DefaultChannel, Policy, ResourceType},
    wire::text,
};

/// The table of a resource type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeTable {
    #[serde(with = "text")]
    channel: DefaultChannel,
    id_prefix: String,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    unique: Vec<String>,
    #[serde(default)]
    unique_ignores_empty: bool,
    #[serde(default)]
    media: Vec<String>,
    #[serde(default)]
    references: BTreeMap<String, String>,
    #[serde(default, with = "text")]
    policy: Policy,
}

impl Catalog {
    /// Parses and validates a catalog.
    ///
    /// # Errors
    /// Returns a [`CatalogError`] that names the type and what to change.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let types: BTreeMap<String, TypeTable> =
            toml::from_str(text).map_err(|error| CatalogError::Malformed(error.to_string()))?;
        let types = types.into_iter().map(|(name, table)| (name, table.into()));
        Self::new(types.collect())
    }
}

impl From<TypeTable> for ResourceType {
    fn from(table: TypeTable) -> Self {
        Self {
            channel: table.channel,
            id_prefix: table.id_prefix,
            required: table.required,
            unique: table.unique,
            unique_ignores_empty: table.unique_ignores_empty,
            media: table.media,
            references: table.references,
            policy: table.policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::Channel;

    #[test]
    fn shipped_catalog_is_valid() {
        let catalog =
            Catalog::parse(include_str!("../../../../catalog.toml")).expect("catalog.toml");
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
    fn empty_string_is_unique_value_by_default() {
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
    fn invalid_catalogs_are_rejected() {
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
