//! A device that only pulls: page by page from its token, keeping the higher version when a
//! resource comes twice.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::Client;
use crate::load::LoadSignals;

/// Small, so that a kill finds readers inside the log, not only at its end.
const STORM_PAGE: usize = 7;

/// A resource as a device holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its version.
    pub version: u64,
    /// The text of its payload, to the byte; none for a deleted one.
    pub payload: Option<String>,
}

/// Rows by channel and id.
pub type Rows = BTreeMap<(String, String), Row>;

/// A device that only pulls.
pub struct Reader {
    device_id: String,
    token: String,
    since: Value,
    /// What it holds.
    pub rows: Rows,
}

#[derive(Deserialize)]
struct Page {
    next_token: String,
    has_more: bool,
    changes: Vec<Change>,
    #[serde(default)]
    reset: Vec<String>,
}

#[derive(Deserialize)]
struct Change {
    id: String,
    channel: String,
    server_version: u64,
    payload: Option<Box<RawValue>>,
}

impl Reader {
    /// A device that has never pulled.
    pub fn new(device_id: &str, token: &str) -> Self {
        Self {
            device_id: device_id.to_owned(),
            token: token.to_owned(),
            since: Value::Null,
            rows: Rows::new(),
        }
    }

    /// A new device of the same user.
    pub fn another(&self, device_id: &str) -> Self {
        Self::new(device_id, &self.token)
    }

    /// Pulls until there is no more.
    pub fn pull(&mut self, client: &mut Client) {
        for _ in 0..10_000 {
            if !self.pull_page(client, 100).unwrap() {
                return;
            }
        }
        panic!("a pull that never ends");
    }

    /// Pulls and pulls until the runner is gone.
    pub fn pull_until_cut_off(&mut self, addr: SocketAddr, faults: &LoadSignals) {
        let mut client = Client::connect(addr).unwrap();
        loop {
            if let Err(error) = self.pull_page(&mut client, STORM_PAGE) {
                return faults.broke(&self.device_id, &error);
            }
        }
    }

    /// What it holds that is not deleted.
    pub fn live(&self) -> Rows {
        let live = self.rows.iter().filter(|(_, row)| row.payload.is_some());
        live.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Pulls a page; whether there is more.
    fn pull_page(&mut self, client: &mut Client, limit: usize) -> io::Result<bool> {
        let request =
            json!({"since_token": self.since, "device_id": self.device_id, "limit": limit});
        let response = client.post("sync/pull", &self.token, &request.to_string())?;
        assert_eq!(response.status, 200, "{response:?}");
        let page: Page = serde_json::from_str(&response.text)
            .unwrap_or_else(|error| panic!("{error}: {response:?}"));
        // Its first pull begins its channels. To start one over would be allowed, but only a log
        // that lost something has a reason for it.
        assert!(
            page.reset.is_empty() || self.since.is_null(),
            "a kill makes no device start over: {response:?}"
        );
        for change in page.changes {
            let row = Row {
                version: change.server_version,
                payload: change.payload.map(|text| text.get().to_owned()),
            };
            let held = self
                .rows
                .entry((change.channel, change.id))
                .or_insert_with(|| row.clone());
            if held.version <= row.version {
                *held = row;
            }
        }
        self.since = page.next_token.into();
        Ok(page.has_more)
    }
}
