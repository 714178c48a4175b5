//! The devices of the soak test: each pushes, pulls, acknowledges and sometimes conflicts.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use serde_json::{Value, json};
use tidemark_client::{BatchBounds, Client as SyncClient, EditContent, EditOutcome, ResourceName};

use super::{METERS, NOISE_BYTES, Progress};
use crate::client::Client;
use crate::process::token;

/// A device with its own meters, which all devices pull.
pub(super) struct Load {
    connection: Client,
    token: String,
    number: usize,
    /// The state that the device stores.
    client: SyncClient,
    edits: u64,
    /// Server version of the small meter, which only the conflicts change.
    small: u64,
    random: Rng,
}

impl Load {
    /// Connects the device with this number, which is a user of its own.
    pub(super) fn new(addr: SocketAddr, number: usize) -> Self {
        Self {
            connection: Client::connect(addr).unwrap(),
            token: token(&format!("user-{number}")),
            number,
            client: SyncClient::new(format!("device-{number}")),
            edits: 0,
            small: 0,
            random: Rng::with_seed(number as u64),
        }
    }

    /// Pushes and pulls until the load ends.
    pub(super) fn run_until_stopped(mut self, progress: &Progress) {
        for round in 0.. {
            if progress.is_over.load(Ordering::SeqCst) {
                return;
            }
            self.push(round, progress);
            self.pull();
            // Conflicts are rare here, because they are stored permanently.
            if round % 10 == 3 {
                self.conflict();
            }
        }
    }

    fn push(&mut self, round: usize, progress: &Progress) {
        for at in 0..5 {
            self.edit((round * 5 + at) % METERS);
        }
        self.client
            .next_batch(&BatchBounds::default(), &format!("batch-{round}"));

        let body = self.client.push_request().unwrap();
        let response = self.post("sync/push", &body);
        let response = serde_json::from_str(&response).unwrap();
        let report = self.client.apply_push_response(&response).unwrap();

        // A resolution of the admin creates a version that the device has not pulled yet.
        let is_expected =
            |outcome: &EditOutcome| matches!(outcome, EditOutcome::Applied | EditOutcome::Conflict);
        assert!(
            report
                .outcomes
                .iter()
                .all(|(_, outcome)| is_expected(outcome)),
            "{response:?}"
        );
        progress.pushes.fetch_add(1, Ordering::SeqCst);
    }

    /// Creates or updates a meter.
    fn edit(&mut self, meter: usize) {
        let random = &mut self.random;
        let noise: String = (0..NOISE_BYTES).map(|_| random.lowercase()).collect();
        let payload = json!({ "noise": noise }).to_string();

        let name = ResourceName::server("tenant", "meter", format!("m-{}-{meter}", self.number));
        let content = match self.client.displayed(&name) {
            None => EditContent::Create(&payload),
            Some(_) => EditContent::Update(&payload),
        };
        self.edits += 1;
        self.client.enqueue_edit(self.edits, name, content).unwrap();
    }

    /// Sends an edit of an outdated copy, as another device of the user.
    fn conflict(&mut self) {
        while self.small < 3 {
            let item = self.small_item(self.small);
            let result = self.send_item("small", item);
            self.small = result["server_version"].as_u64().unwrap();
        }
        let item = self.small_item(1);
        let result = self.send_item("another", item);
        assert_eq!(result["status"], "conflict", "{result}");
    }

    /// Returns an edit of a separate meter with a small payload, because conflicts and their audit
    /// log entries are stored permanently.
    fn small_item(&mut self, base: u64) -> Value {
        let action = if base == 0 { "create" } else { "update" };
        let id = format!("m-{}-small", self.number);
        let payload = json!({"id": id, "reading": self.random.u32(..1_000_000_000)});
        json!({"resource_type": "meter", "action": action, "client_version": base,
            "base_version": base, "payload": payload})
    }

    /// Pushes one item and returns its result.
    fn send_item(&mut self, device_id: &str, item: Value) -> Value {
        let body = json!({"device_id": device_id, "client_sync_token": null, "items": [item]});
        let response = self.post("sync/push", &body.to_string());
        let mut response: Value = serde_json::from_str(&response).unwrap();
        response["results"][0].take()
    }

    fn pull(&mut self) {
        loop {
            let body = self.client.pull_request(100);
            let page = self.post("sync/pull", &body);
            let report = self.client.apply_page(serde_json::from_str(&page).unwrap());
            if !report.has_more {
                break;
            }
        }

        let ack = self.client.ack_request().unwrap();
        self.post("sync/ack", &ack);
    }

    /// Sends a request that must succeed, and returns the body of the response.
    fn post(&mut self, route: &str, body: &str) -> String {
        let response = self.connection.post(route, &self.token, body).unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        response.text
    }
}
