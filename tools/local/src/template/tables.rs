//! The tables of the template as DynamoDB requests, under their local names.

mod parse;

use serde_json::{Value, json};

use super::{Template, TemplateError};

use parse::table;

pub(crate) const KIND: &str = "AWS::DynamoDB::Table";

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

#[cfg(test)]
mod tests;
