//! The queue of a device that receives no response in between.

use std::collections::HashMap;

use serde_json::{Value, json};
use tidemark_tests::Item;

/// Numbers edits according to *Numbering versions*, for a device that receives no response in
/// between.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) items: Vec<Value>,
    edits: HashMap<String, u64>,
}

impl Queue {
    /// Adds an edit of a resource whose version `base` is the last that the device received.
    fn add(&mut self, resource_type: &str, action: &str, name: &str, base: u64, payload: Value) {
        let waiting = self.edits.entry(name.to_owned()).or_default();
        let version = base + *waiting;
        *waiting += 1;

        let item = Item::new(resource_type, action, version)
            .base(base)
            .payload(payload);
        let item = match name.strip_prefix("temp:") {
            Some(temp_id) => item.temp_id(temp_id),
            None => item.id(name),
        };
        let item = match resource_type {
            "task" => item.channel("group/north"),
            _ => item,
        };
        self.items.push(item.into());
    }

    /// Adds a create that fails with an error.
    pub(super) fn broken(mut self, name: &str) -> Self {
        self.add("meter", "create", name, 0, json!([]));
        self
    }

    /// Returns whether the queue contains a create with this temp id.
    pub(super) fn has_created(&self, temp_id: &str) -> bool {
        self.items
            .iter()
            .any(|item| item["action"] == "create" && item["client_temp_id"] == temp_id)
    }

    /// Adds an edit of a meter. The meters of the office have version 1.
    pub(super) fn meter(mut self, action: &str, name: &str, payload: Value) -> Self {
        self.add(
            "meter",
            action,
            name,
            u64::from(name.starts_with("m-")),
            payload,
        );
        self
    }

    /// Adds an edit of a task.
    pub(super) fn task(mut self, action: &str, name: &str, payload: Value) -> Self {
        self.add("task", action, name, 0, payload);
        self
    }
}
