//! A device that pushes: creates, chains of edits of its own resources, deletes, and edits of a few
//! resources that all devices edit and that therefore conflict. Every edit has a unique name in its
//! payload, and every batch has an id.

use std::io;
use std::net::SocketAddr;

use fastrand::Rng;
use serde::Deserialize;
use serde_json::{Value, json};
use tidemark_core::model::limits::{BATCH_ITEMS_MAX, DEDUPLICATION_EDITS};

use crate::client::Client;
use crate::load::LoadSignals;

/// Number of resources that all devices edit.
pub const SHARED: usize = 4;

/// Returns the id of a resource that all devices edit.
pub fn shared_id(number: usize) -> String {
    format!("shared-{number}")
}

/// A device that keeps every batch that it has sent.
pub struct PushingDevice {
    device_id: String,
    token: String,
    random: Rng,
    edits: usize,
    /// Resources that the device may edit: first the shared ones, then its own.
    targets: Vec<KnownResource>,
    /// All batches that the device has sent, oldest first.
    pub batches: Vec<Batch>,
}

/// A resource as the device that edits it knows it.
struct KnownResource {
    resource_type: &'static str,
    /// Temp id that identifies the resource until the device knows its id.
    temp_id: String,
    id: Option<String>,
    version: u64,
    is_deleted: bool,
}

/// A batch as it was sent, and its results if there was a response.
pub struct Batch {
    body: Value,
    /// The edits, in the order of the items.
    pub edits: Vec<Edit>,
    /// Results of the items; `None` while the batch is unacknowledged.
    pub results: Option<Vec<ItemResult>>,
}

/// An edit that the device has sent.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Unique name among the edits of all devices.
    pub name: String,
    /// Action of the item: `create`, `update` or `delete`.
    pub action: &'static str,
    target: usize,
}

/// Result of an item in a push response.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ItemResult {
    /// Status of the item: `ok`, `conflict` or `error`.
    pub status: String,
    /// Server id of the resource.
    pub server_id: Option<String>,
    /// Version that the edit created, or the current version that conflicts with it.
    pub server_version: Option<u64>,
    /// Id of the conflict that contains the edit.
    pub conflict_id: Option<String>,
    /// Whether the device must send the item again.
    #[serde(default)]
    pub retryable: bool,
}

#[derive(Deserialize)]
struct PushResponse {
    results: Vec<ItemResult>,
}

impl PushingDevice {
    /// Returns a device that has never pushed.
    pub fn new(device_id: &str, token: &str, seed: u64) -> Self {
        let (random, token) = (Rng::with_seed(seed), token.to_owned());
        let shared = |number| KnownResource {
            id: Some(shared_id(number)),
            version: 1,
            ..KnownResource::new("meter", String::new())
        };
        let targets = (0..SHARED).map(shared).collect();

        Self {
            device_id: device_id.to_owned(),
            token,
            random,
            edits: 0,
            targets,
            batches: Vec::new(),
        }
    }

    /// Creates the resources that all devices edit.
    pub fn create_shared(&mut self, client: &mut Client) {
        let (mut items, mut edits) = (Vec::new(), Vec::new());
        for target in 0..SHARED {
            self.queue(&mut items, &mut edits, target, "create", 0);
        }
        self.batches.push(self.batch(items, edits));
        self.resend_unacknowledged(client);
    }

    /// Pushes batches until the runner is killed. The last batch stays unacknowledged.
    pub fn push_until_disconnected(&mut self, addr: SocketAddr, signals: &LoadSignals) {
        let mut client = Client::connect(addr).unwrap();
        loop {
            let batch = self.make_batch();
            self.batches.push(batch);
            if let Err(error) = self.send_last(&mut client) {
                return signals.report_disconnect(&self.device_id, &error);
            }
            signals.count();
        }
    }

    /// Sends the unacknowledged batch again, and returns whether there was one.
    pub fn resend_unacknowledged(&mut self, client: &mut Client) -> bool {
        let is_unacknowledged = self
            .batches
            .last()
            .is_some_and(|batch| batch.results.is_none());
        if is_unacknowledged {
            self.send_last(client).unwrap();
        }
        is_unacknowledged
    }

    /// Sends the newest acknowledged batches again. The results must be equal, except those of
    /// retryable items, which are replaced.
    pub fn retry_acknowledged(&mut self, client: &mut Client, batches_max: usize) {
        for batch in self.batches.iter_mut().rev().take(batches_max) {
            let Some(before) = &mut batch.results else {
                continue;
            };
            let again = send(client, &self.token, &batch.body).unwrap();
            assert_eq!(again.len(), before.len(), "{}", batch.body);

            for ((before, again), edit) in before.iter_mut().zip(again).zip(&batch.edits) {
                if before.retryable {
                    *before = again;
                } else {
                    assert_eq!(
                        *before, again,
                        "{edit:?} of {} has another result on retry",
                        batch.body
                    );
                }
            }
        }
    }

    /// Sends the newest edits of the device's own resources again, in one batch without a batch id
    /// and newest first. A resource's row identifies its create, and its deduplication window
    /// contains its newest edits, so the results must be equal.
    pub fn resend_in_another_batch(&mut self, client: &mut Client) {
        let mut sent_again = vec![0; self.targets.len()];
        let (mut items, mut expected) = (Vec::new(), Vec::new());

        for batch in self.batches.iter().rev() {
            let Some(results) = &batch.results else {
                continue;
            };
            for (index, edit) in batch
                .edits
                .iter()
                .enumerate()
                .rev()
                .filter(|(_, edit)| edit.target >= SHARED)
            {
                sent_again[edit.target] += 1;
                if edit.action == "create" || sent_again[edit.target] <= DEDUPLICATION_EDITS {
                    items.push(batch.body["items"][index].clone());
                    expected.push(results[index].clone());
                }
            }
        }

        if items.is_empty() {
            return;
        }
        items.truncate(BATCH_ITEMS_MAX);
        expected.truncate(BATCH_ITEMS_MAX);

        let body = json!({"device_id": self.device_id, "client_sync_token": null, "items": items});
        assert_eq!(
            send(client, &self.token, &body).unwrap(),
            expected,
            "edits have other results in another batch"
        );
    }

    /// Returns the resources with an unacknowledged delete.
    pub fn unacknowledged_deletes(&self) -> impl Iterator<Item = &str> {
        let unacknowledged = self.batches.iter().filter(|batch| batch.results.is_none());
        let deletes = unacknowledged
            .flat_map(|batch| &batch.edits)
            .filter(|edit| edit.action == "delete");
        deletes.filter_map(|edit| self.targets[edit.target].id.as_deref())
    }

    fn send_last(&mut self, client: &mut Client) -> io::Result<()> {
        let Some(batch) = self.batches.last_mut() else {
            return Ok(());
        };
        let results = send(client, &self.token, &batch.body)?;
        assert_eq!(results.len(), batch.edits.len(), "{}", batch.body);
        for (edit, outcome) in batch.edits.iter().zip(&results) {
            let target = &mut self.targets[edit.target];
            target.version = target.version.max(outcome.server_version.unwrap_or(0));
            target.id.clone_from(&outcome.server_id);
        }
        batch.results = Some(results);
        Ok(())
    }

    fn make_batch(&mut self) -> Batch {
        let (mut items, mut edits) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.random.usize(..4) {
            let number = self.random.usize(..10);
            let is_new = number < 3;
            let target = if is_new {
                self.new_target()
            } else {
                self.pick_target(number < 6)
            };

            let mut queued = edits
                .iter()
                .filter(|edit: &&Edit| edit.target == target)
                .count();
            if is_new {
                self.queue(&mut items, &mut edits, target, "create", 0);
                queued = 1;
            }
            for _ in 0..self.random.usize(..3) {
                self.queue(&mut items, &mut edits, target, "update", queued);
                queued += 1;
            }
            if number == 9 && target >= SHARED {
                self.queue(&mut items, &mut edits, target, "delete", queued);
                self.targets[target].is_deleted = true;
            }
        }

        if items.is_empty() {
            let target = self.pick_target(true);
            self.queue(&mut items, &mut edits, target, "update", 0);
        }
        self.batch(items, edits)
    }

    fn new_target(&mut self) -> usize {
        let resource_type = ["submission", "meter"][self.random.usize(..2)];
        let temp_id = format!("tmp-{}", self.targets.len());
        self.targets
            .push(KnownResource::new(resource_type, temp_id));
        self.targets.len() - 1
    }

    /// Returns a random shared resource, or a random one of the device's eight newest resources
    /// that is not deleted.
    fn pick_target(&mut self, is_shared: bool) -> usize {
        let own = self.targets.len().saturating_sub(8).max(SHARED)..self.targets.len();
        let own: Vec<usize> = own
            .filter(|target| !self.targets[*target].is_deleted)
            .collect();
        if is_shared || own.is_empty() {
            self.random.usize(..SHARED)
        } else {
            own[self.random.usize(..own.len())]
        }
    }

    /// Adds an item that follows `queued` others on the same resource.
    fn queue(
        &mut self,
        items: &mut Vec<Value>,
        edits: &mut Vec<Edit>,
        target: usize,
        action: &'static str,
        queued: usize,
    ) {
        self.edits += 1;
        let name = format!("{}-{}", self.device_id, self.edits);
        let KnownResource {
            resource_type,
            temp_id,
            id,
            version,
            ..
        } = &self.targets[target];

        let base = if action == "create" { 0 } else { *version };
        let mut item = json!({"resource_type": resource_type, "action": action, "client_version": base + queued as u64});
        let mut payload = json!({"edit": name});
        if action == "create" {
            payload = json!({"edit": name, "made": name, "reading": 1.0, "form_id": "Prüfung №1", "data": {"a": [null, 1e300]}});
        } else {
            item["base_version"] = base.into();
        }
        if temp_id.is_empty() || (*resource_type == "meter" && id.is_some() && action != "create") {
            payload["id"] = id.as_deref().into();
        } else {
            item["client_temp_id"] = temp_id.as_str().into();
        }

        item["payload"] = payload;
        items.push(item);
        edits.push(Edit {
            name,
            action,
            target,
        });
    }

    fn batch(&self, items: Vec<Value>, edits: Vec<Edit>) -> Batch {
        let batch_id = format!("batch-{}", self.batches.len());
        let body = json!({"device_id": self.device_id, "client_sync_token": null, "batch_id": batch_id, "items": items});
        Batch {
            body,
            edits,
            results: None,
        }
    }
}

impl KnownResource {
    fn new(resource_type: &'static str, temp_id: String) -> Self {
        Self {
            resource_type,
            temp_id,
            id: None,
            version: 0,
            is_deleted: false,
        }
    }
}

fn send(client: &mut Client, token: &str, body: &Value) -> io::Result<Vec<ItemResult>> {
    let response = client.post("sync/push", token, &body.to_string())?;
    assert_eq!(response.status, 200, "{response:?}");
    let parsed: PushResponse = serde_json::from_str(&response.text)
        .unwrap_or_else(|error| panic!("{error}: {response:?}"));
    Ok(parsed.results)
}
