//! A device of the system tests: it sends the items that a test gives it, and applies the pages
//! that it pulls with the reference client.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_client::{BatchBounds, Client, EditContent, Options, PushResponse, ResourceName};
use tidemark_core::model::result::ItemResult;

use crate::{ApiResponse, Stack};

/// A device with its copies of resources.
pub struct Device<'a> {
    stack: &'a Stack,
    /// The bearer token of the user.
    pub token: String,
    /// The id of the device.
    pub device_id: String,
    /// Number of resets of channels that the device had already begun to pull.
    pub resets: usize,
    /// The client with the pulled state. It requests no own changes, so that a test sees which of
    /// them the server delivers by default.
    pub client: Client,
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
            resets: 0,
            client: Client::with_options(device_id, Options::EARLIEST),
        }
    }

    /// Returns the sync token for the next pull; `null` before the first pull.
    pub fn since(&self) -> Value {
        self.client.sync_token().into()
    }

    /// Replaces the sync token for the next pull.
    pub fn set_since(&mut self, token: &Value) {
        self.client
            .set_sync_token(token.as_str().map(str::to_owned));
    }

    /// Pushes these items and returns the response.
    pub async fn send(&self, items: &Value) -> ApiResponse {
        self.stack
            .post("sync/push", &self.token, &self.body(items))
            .await
    }

    /// Returns the body of a push of these items.
    pub fn body(&self, items: &Value) -> Value {
        json!({"device_id": self.device_id, "client_sync_token": self.since(), "items": items})
    }

    /// Pushes items and returns their results.
    pub async fn push(&self, items: Value) -> Vec<Value> {
        self.send(&items).await.ok()["results"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Pushes one item and returns its result.
    pub async fn push_one(&self, item: impl Into<Value>) -> Value {
        let item: Value = item.into();
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
        let mut request: Value = serde_json::from_str(&self.client.pull_request(limit)).unwrap();
        request["device_id"] = self.device_id.as_str().into();
        let response = self.stack.post("sync/pull", &self.token, &request).await;
        let page = response.ok();

        let applied = self
            .client
            .apply_page(serde_json::from_str(&response.text).unwrap());
        self.resets += applied.resets.len();
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
        let body = json!({"ack_token": self.since(), "device_id": self.device_id});
        self.stack.post("sync/ack", &self.token, &body).await
    }

    /// Pulls until there are no more changes, and acknowledges all of them.
    pub async fn pull_and_ack(&mut self) {
        self.pull().await;
        self.ack().await.ok();
    }

    /// Stores a resource that the device has created as version 1, like the response to its push.
    pub fn store_created(&mut self, name: ResourceName, payload: &str) {
        let id = name.id.as_str().to_owned();
        let content = EditContent::Create(payload);
        self.client.enqueue_edit(1, name, content).unwrap();
        self.client.next_batch(&BatchBounds::default(), "created");

        let response = PushResponse {
            batch_id: "created".into(),
            processed_at: self.stack.now(),
            server_sync_token: String::new(),
            results: vec![ItemResult::ok(0, None, id, Some(1)).into()],
        };
        self.client.apply_push_response(&response).unwrap();
    }

    /// Returns the copies, by channel, type and id.
    pub fn rows(&self) -> BTreeMap<(String, String, String), DeviceCopy> {
        let held = self.client.copies().iter();
        held.filter(|(_, copy)| copy.known > 0)
            .map(|(name, copy)| {
                let key = (
                    name.channel.clone(),
                    name.resource_type.clone(),
                    name.id.as_str().to_owned(),
                );
                let copy = DeviceCopy {
                    server_version: copy.known,
                    payload: copy
                        .payload
                        .as_ref()
                        .map(|payload| payload.get().to_owned()),
                };
                (key, copy)
            })
            .collect()
    }

    /// Returns the copies that are not deleted, by resource id.
    pub fn live(&self) -> BTreeMap<String, DeviceCopy> {
        let live = self.rows().into_iter();
        live.filter(|(_, held)| held.payload.is_some())
            .map(|((_, _, id), held)| (id, held))
            .collect()
    }
}

impl Stack {
    /// Returns a device of a user of the tenant `acme`.
    pub fn device(&self, user: &str, device_id: &str) -> Device<'_> {
        Device::new(self, self.token("acme", user, &[], &[]), device_id)
    }
}
