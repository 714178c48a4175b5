//! The tables of the deployment, which the simulation reads, copies and restores without faults.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tidemark_aws::tables::format::unpack;
use tidemark_core::model::key;

use super::Cloud;
use crate::version::{KEPT, kept_apart, row_of};

/// The rows of every table, by table name.
pub type TableSnapshot = BTreeMap<String, Vec<Value>>;

impl Cloud {
    /// Returns a copy of every table.
    pub fn copy(&self) -> TableSnapshot {
        let tables = self.call("ListTables", &json!({}))["TableNames"]
            .as_array()
            .unwrap()
            .clone();
        tables
            .iter()
            .map(|table| table.as_str().unwrap())
            .map(|table| (table.to_owned(), self.rows(table)))
            .collect()
    }

    /// Restores every table from a copy.
    pub fn restore(&self, copy: &TableSnapshot) {
        for (table, rows) in copy {
            for row in self.rows(table) {
                self.call(
                    "DeleteItem",
                    &json!({"TableName": table, "Key": {"pk": row["pk"], "sk": row["sk"]}}),
                );
            }
            for row in rows {
                self.call("PutItem", &json!({"TableName": table, "Item": row}));
            }
        }
        self.table_faults.restored();
    }

    /// Adds the last payload to the stream record of a tombstone whose row does not contain it.
    pub fn with_kept_payload(&self, mut record: Value) -> Value {
        let Some(version) = kept_apart(&record["dynamodb"]["NewImage"]) else {
            return record;
        };

        let (_, name) = row_of(&record["dynamodb"]["Keys"]);
        let name = key::join([&name.resource_type, name.id.as_str(), &version.to_string()]);
        let keys =
            json!({"pk": record["dynamodb"]["Keys"]["pk"], "sk": {"S": format!("v#{name}")}});
        let row = self.call("GetItem", &json!({"TableName": "conflicts", "Key": keys}));

        let packed = BASE64_STANDARD
            .decode(row["Item"]["packed"]["B"].as_str().unwrap())
            .unwrap();
        let payload = String::from_utf8(unpack(&packed, 1 << 20).unwrap()).unwrap();
        record["dynamodb"]["NewImage"][KEPT] = json!({"S": payload});
        record
    }

    /// Returns every row of a table.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        let (mut rows, mut request) = (Vec::new(), json!({"TableName": table}));
        loop {
            let response = self.call("Scan", &request);
            rows.extend(response["Items"].as_array().unwrap().iter().cloned());
            match response.get("LastEvaluatedKey") {
                None => return rows,
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
            }
        }
    }

    /// Calls an operation of the engine.
    pub fn call(&self, operation: &str, request: &Value) -> Value {
        let reply = self.engine.call(operation, request.to_string().as_bytes());
        assert_eq!(
            reply.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        serde_json::from_slice(&reply.body).unwrap()
    }
}
