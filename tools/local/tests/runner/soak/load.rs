//! The devices of the soak test: each pushes, pulls, acknowledges and sometimes conflicts.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{METERS, NOISE_BYTES, Progress};
use crate::client::Client;
use crate::load::Random;
use crate::process::token;

/// A device with its own meters, which all devices pull.
pub(super) struct Load {
    client: Client,
    token: String,
    device_id: String,
    number: usize,
    /// Server version of each meter that the device knows.
    versions: Vec<u64>,
    /// Server version of the small meter that the device knows.
    small: u64,
    since: Value,
    random: Random,
}

impl Load {
    /// Connects the device with this number, which is a user of its own.
    pub(super) fn new(addr: SocketAddr, number: usize) -> Self {
        let client = Client::connect(addr).unwrap();
        let (token, device_id) = (token(&format!("user-{number}")), format!("device-{number}"));
        let random = Random::new(number as u64);
        Self {
            client,
            token,
            device_id,
            number,
            versions: vec![0; METERS],
            small: 0,
            since: Value::Null,
            random,
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
        let meters: Vec<usize> = (0..5).map(|at| (round * 5 + at) % METERS).collect();
        let items: Vec<Value> = meters
            .iter()
            .map(|meter| self.item(*meter, self.versions[*meter]))
            .collect();
        let results = self.send(&items);

        for (meter, result) in meters.into_iter().zip(results) {
            // A resolution of the admin creates a version that the device has not pulled yet.
            assert!(
                result["status"] == "ok" || result["status"] == "conflict",
                "{result}"
            );
            self.versions[meter] = result["server_version"]
                .as_u64()
                .unwrap_or(self.versions[meter]);
        }
        progress.pushes.fetch_add(1, Ordering::SeqCst);
    }

    /// Sends an edit of an outdated copy, as another device of the user.
    fn conflict(&mut self) {
        while self.small < 3 {
            let item = self.small_item(self.small);
            self.small = self.send(&[item])[0]["server_version"].as_u64().unwrap();
        }
        let own = std::mem::replace(&mut self.device_id, "another".to_owned());
        let item = self.small_item(1);
        let results = self.send(&[item]);
        assert_eq!(results[0]["status"], "conflict", "{results:?}");
        self.device_id = own;
    }

    fn item(&mut self, meter: usize, base: u64) -> Value {
        let action = if base == 0 { "create" } else { "update" };
        let random = &mut self.random;
        let noise: String = (0..NOISE_BYTES)
            .map(|_| char::from(b'a' + random.below(26) as u8))
            .collect();
        json!({"resource_type": "meter", "action": action, "client_version": base, "base_version": base,
            "payload": {"id": format!("m-{}-{meter}", self.number), "noise": noise}})
    }

    /// Returns an edit of a separate meter with a small payload, because conflicts and their audit
    /// log entries are stored permanently.
    fn small_item(&mut self, base: u64) -> Value {
        let action = if base == 0 { "create" } else { "update" };
        json!({"resource_type": "meter", "action": action, "client_version": base, "base_version": base,
            "payload": {"id": format!("m-{}-small", self.number), "reading": self.random.below(1_000_000_000)}})
    }

    fn send(&mut self, items: &[Value]) -> Vec<Value> {
        let body =
            json!({"device_id": self.device_id, "client_sync_token": self.since, "items": items});
        let response = self
            .client
            .post("sync/push", &self.token, &body.to_string())
            .unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["results"].as_array().unwrap().clone()
    }

    fn pull(&mut self) {
        loop {
            let body = json!({"since_token": self.since, "device_id": self.device_id}).to_string();
            let response = self.client.post("sync/pull", &self.token, &body).unwrap();
            assert_eq!(response.status, 200, "{response:?}");
            let page = response.json();
            self.since = page["next_token"].clone();
            if page["has_more"] == false {
                break;
            }
        }

        let ack = json!({"ack_token": self.since, "device_id": self.device_id}).to_string();
        assert_eq!(
            self.client
                .post("sync/ack", &self.token, &ack)
                .unwrap()
                .status,
            200
        );
    }
}
