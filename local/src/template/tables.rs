//! The tables of the template as DynamoDB requests, under their local names.

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use super::{Template, TemplateError, plain_json, shape};

pub(crate) const KIND: &str = "AWS::DynamoDB::Table";

/// What CreateTable takes as the template writes it.
const COPIED: [&str; 5] = [
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
];

/// A table of the template.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name on this machine.
    pub name: String,
    /// The CreateTable request.
    pub create: Value,
    /// The attribute that holds the time to live, if there is one.
    pub ttl_attribute: Option<String>,
}

impl Table {
    /// The DescribeTable request.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({ "TableName": self.name })
    }

    /// The UpdateTable request for a table whose stream is not switched on yet, as a DescribeTable
    /// answer tells.
    #[must_use]
    pub fn enable_stream(&self, described: &str) -> Option<Value> {
        let wanted = self.create.get("StreamSpecification")?;
        let described: Value = serde_json::from_str(described).unwrap_or_default();
        let has_stream = described["Table"]["StreamSpecification"]["StreamEnabled"] == true;
        (!has_stream).then(|| json!({ "TableName": self.name, "StreamSpecification": wanted }))
    }

    /// The UpdateTable requests for indexes that a table lacks, as a DescribeTable answer tells:
    /// one for each, as DynamoDB wants it.
    #[must_use]
    pub fn add_indexes(&self, described: &str) -> Vec<Value> {
        let described: Value = serde_json::from_str(described).unwrap_or_default();
        let list = |table: &Value| {
            table["GlobalSecondaryIndexes"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };
        let known = list(&described["Table"]);
        let missing = list(&self.create)
            .into_iter()
            .filter(|index| known.iter().all(|it| it["IndexName"] != index["IndexName"]));
        let request = |index: Value| {
            json!({
                "TableName": self.name,
                "AttributeDefinitions": self.create["AttributeDefinitions"],
                "GlobalSecondaryIndexUpdates": [{ "Create": index }],
            })
        };
        missing.map(request).collect()
    }

    /// The UpdateTimeToLive request, if the table's rows expire.
    #[must_use]
    pub fn update_time_to_live(&self) -> Option<Value> {
        let attribute = self.ttl_attribute.as_ref()?;
        let specification = json!({ "AttributeName": attribute, "Enabled": true });
        Some(json!({ "TableName": self.name, "TimeToLiveSpecification": specification }))
    }
}

impl Template {
    /// Every table, in the template's order.
    ///
    /// # Errors
    /// A table's definition is incomplete, or uses an intrinsic function.
    pub fn tables(&self) -> Result<Vec<Table>, TemplateError> {
        self.resources(KIND)
            .map(|(id, resource)| table(id, resource))
            .collect()
    }
}

/// The name of a table on this machine: `SyncBatchesTable` is `sync_batches`.
#[must_use]
pub fn local_name(logical_id: &str) -> String {
    let mut name = String::new();
    for letter in logical_id
        .strip_suffix("Table")
        .unwrap_or(logical_id)
        .chars()
    {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn table(id: &str, resource: &Yaml) -> Result<Table, TemplateError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_after_its_logical_id() {
        assert_eq!(local_name("ResourcesTable"), "resources");
        assert_eq!(local_name("SyncBatchesTable"), "sync_batches");
    }

    #[test]
    fn the_template_holds_the_tables_of_the_architecture() {
        let tables = Template::built_in().unwrap().tables().unwrap();
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        for name in [
            "resources",
            "changes",
            "sync_batches",
            "sync_items",
            "conflicts",
        ] {
            assert!(names.contains(&name), "{name} is missing from {names:?}");
        }
    }

    #[test]
    fn the_resources_table_streams_both_images() {
        let tables = Template::built_in().unwrap().tables().unwrap();
        let resources = tables
            .iter()
            .find(|table| table.name == "resources")
            .unwrap();
        assert_eq!(
            resources.create["StreamSpecification"],
            json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"})
        );
    }

    #[test]
    fn a_time_to_live_becomes_a_request_of_its_own() {
        let template = Template::parse(
            "Resources: { ATable: { Type: 'AWS::DynamoDB::Table', Properties: {
               KeySchema: [], TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true } } } }",
        );
        let request = template.unwrap().tables().unwrap()[0]
            .update_time_to_live()
            .unwrap();
        assert_eq!(
            request["TimeToLiveSpecification"],
            json!({"AttributeName": "expires_at", "Enabled": true})
        );
    }
}
