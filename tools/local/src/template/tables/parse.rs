//! Parses the tables of the template.

use serde_json::{Map, json};
use serde_yaml_ng::Value as Yaml;

use super::super::{TemplateError, plain_json, shape};
use super::{Table, local_name};

/// Properties that a CreateTable request contains unchanged.
const COPIED: [&str; 5] = [
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
];

pub(super) fn table(id: &str, resource: &Yaml) -> Result<Table, TemplateError> {
    let path = format!("Resources.{id}.Properties");
    let properties = resource
        .get("Properties")
        .ok_or_else(|| shape(&path, "the table's definition"))?;

    let name = local_name(id);
    let mut create = Map::new();
    create.insert("TableName".to_owned(), json!(name));
    for key in COPIED {
        if let Some(value) = properties.get(key) {
            create.insert(key.to_owned(), plain_json(&format!("{path}.{key}"), value)?);
        }
    }

    if let Some(stream) = properties.get("StreamSpecification") {
        let view = plain_json(
            &format!("{path}.StreamSpecification"),
            &stream["StreamViewType"],
        )?;
        create.insert(
            "StreamSpecification".to_owned(),
            json!({ "StreamEnabled": true, "StreamViewType": view }),
        );
    }

    let ttl = properties
        .get("TimeToLiveSpecification")
        .filter(|ttl| ttl["Enabled"] != Yaml::Bool(false));
    let ttl_attribute = ttl
        .and_then(|ttl| ttl["AttributeName"].as_str())
        .map(str::to_owned);

    Ok(Table {
        name,
        create: create.into(),
        ttl_attribute,
    })
}
