//! A device that follows the protocol: it keeps its sync token, keeps the higher version if it
//! receives a resource twice, and replaces or drops the resources of a channel on `reset` or
//! `revoked`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{ApiResponse, Stack};

/// A device with its copies of resources.
pub struct Device<'a> {
    stack: &'a Stack,
    /// The bearer token of the user.
    pub token: String,
    /// The id of the device.
    pub device_id: String,
    /// The sync token for the next pull; `null` before the first pull.
    pub since: Value,
    /// The copies, by channel, type and id.
    pub rows: BTreeMap<(String, String, String), DeviceCopy>,
    /// Number of resets of channels that the device had already begun to pull.
    pub resets: usize,
    begun: BTreeSet<String>,
}

/// The copy of a resource on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCopy {
    /// The server version of the copy.
    pub server_version: u64,
    /// The payload as JSON text; `None` if the resource is deleted.
    pub payload: Option<String>,
}

impl<'a> Device<'a> {
    /// Creates a device that has never synced.
    pub fn new(stack: &'a Stack, token: String, device_id: &str) -> Self {
        Self {
            stack,
            token,
            device_id: device_id.to_owned(),
            since: Value::Null,
            rows: BTreeMap::new(),
            resets: 0,
            begun: BTreeSet::new(),
        }
    }

    /// Pushes these items and returns the response.
    pub async fn send(&self, items: &Value) -> ApiResponse {
        self.stack
            .post("sync/push", &self.token, &self.body(items))
            .await
    }

    /// Returns the body of a push of these items.
    pub fn body(&self, items: &Value) -> Value {
        json!({"device_id": self.device_id, "client_sync_token": self.since, "items": items})
    }

    /// Pushes items and returns their results.
    pub async fn push(&self, items: Value) -> Vec<Value> {
        self.send(&items).await.ok()["results"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Pushes one item and returns its result.
    pub async fn push_one(&self, item: Value) -> Value {
        self.push(json!([item])).await.remove(0)
    }

    /// Pushes a batch with a `batch_id` of the client and returns the response.
    pub async fn push_batch(&self, batch_id: &str, items: &Value) -> ApiResponse {
        let mut body = self.body(items);
        body["batch_id"] = batch_id.into();
        self.stack.post("sync/push", &self.token, &body).await
    }

    /// Pulls one page, applies it and returns it.
    pub async fn pull_page(&mut self, limit: usize) -> Value {
        let request =
            json!({"since_token": self.since, "device_id": self.device_id, "limit": limit});
        let response = self.stack.post("sync/pull", &self.token, &request).await;
        let page = response.ok();
        self.apply(&page);
        page
    }

    /// Pulls until there are no more changes, and returns all of them.
    pub async fn pull(&mut self) -> Vec<Value> {
        let mut changes = Vec::new();
        for _ in 0..10_000 {
            let page = self.pull_page(100).await;
            changes.extend(page["changes"].as_array().unwrap().iter().cloned());
            if page["has_more"] == false {
                return changes;
            }
        }
        panic!("the pull does not end");
    }

    /// Acknowledges everything that the device has applied.
    pub async fn ack(&self) -> ApiResponse {
        self.stack
            .post(
                "sync/ack",
                &self.token,
                &json!({"ack_token": self.since, "device_id": self.device_id}),
            )
            .await
    }

    fn apply(&mut self, page: &Value) {
        self.begun
            .retain(|channel| texts(&page["revoked"]).all(|revoked| revoked != *channel));
        self.resets += texts(&page["reset"])
            .filter(|channel| !self.begun.insert(channel.clone()))
            .count();

        for channel in texts(&page["reset"]).chain(texts(&page["revoked"])) {
            self.rows.retain(|(held, _, _), _| *held != channel);
        }

        for change in page["changes"].as_array().unwrap() {
            let text = |field: &str| change[field].as_str().unwrap().to_owned();
            let version = change["server_version"].as_u64().unwrap();
            let held = DeviceCopy {
                server_version: version,
                payload: change.get("payload").map(ToString::to_string),
            };
            let row = self
                .rows
                .entry((text("channel"), text("resource_type"), text("id")))
                .or_insert_with(|| held.clone());
            if row.server_version <= version {
                *row = held;
            }
        }

        self.since = page["next_token"].clone();
    }

    /// Returns the copies that are not deleted, by resource id.
    pub fn live(&self) -> BTreeMap<String, DeviceCopy> {
        let live = self.rows.iter().filter(|(_, held)| held.payload.is_some());
        live.map(|((_, _, id), held)| (id.clone(), held.clone()))
            .collect()
    }
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|text| Some(text.as_str()?.to_owned()))
}
