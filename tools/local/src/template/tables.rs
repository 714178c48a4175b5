//! The tables of the template as DynamoDB requests, under their local names.

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use super::{Template, TemplateError, plain_json, shape};

pub(crate) const KIND: &str = "AWS::DynamoDB::Table";

/// Properties that a CreateTable request contains unchanged.
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
    /// Name of the table on this machine.
    pub name: String,
    /// The CreateTable request of the table.
    pub create: Value,
    /// The attribute with the time to live, if the table's items expire.
    pub ttl_attribute: Option<String>,
}

impl Table {
    /// Returns the DescribeTable request of the table.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({ "TableName": self.name })
    }

    /// Returns the UpdateTable request that enables the stream. Returns `None` if the template
    /// declares no stream, or the DescribeTable response shows an enabled one.
    #[must_use]
    pub fn enable_stream(&self, described: &str) -> Option<Value> {
        let wanted = self.create.get("StreamSpecification")?;
        let described: Value = serde_json::from_str(described).unwrap_or_default();
        let has_stream = described["Table"]["StreamSpecification"]["StreamEnabled"] == true;
        (!has_stream).then(|| json!({ "TableName": self.name, "StreamSpecification": wanted }))
    }

    /// Returns the UpdateTable requests that add the indexes missing in the DescribeTable response:
    /// one request for each index, as DynamoDB requires.
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

    /// Returns the UpdateTimeToLive request if the table's items expire.
    #[must_use]
    pub fn update_time_to_live(&self) -> Option<Value> {
        let attribute = self.ttl_attribute.as_ref()?;
        let specification = json!({ "AttributeName": attribute, "Enabled": true });
        Some(json!({ "TableName": self.name, "TimeToLiveSpecification": specification }))
    }
}

impl Template {
    /// Returns all tables in the template's order.
    ///
    /// # Errors
    /// Returns an error if a table's definition is incomplete or uses an intrinsic function.
    pub fn tables(&self) -> Result<Vec<Table>, TemplateError> {
        self.resources(KIND)
            .map(|(id, resource)| table(id, resource))
            .collect()
    }
}

/// Returns the name of a table on this machine: `SyncBatchesTable` becomes `sync_batches`.
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
    fn table_name_derives_from_logical_id() {
        assert_eq!(local_name("ResourcesTable"), "resources");
        assert_eq!(local_name("SyncBatchesTable"), "sync_batches");
    }

    #[test]
    fn template_declares_tables_of_architecture() {
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
    fn resources_table_streams_both_images() {
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
    fn time_to_live_becomes_separate_request() {
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
