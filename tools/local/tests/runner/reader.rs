//! A device that only pulls: page by page from its token. If a resource is delivered twice, it
//! keeps the higher version.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::Client;
use crate::load::LoadSignals;

/// Page limit under load. It is small, so that a kill interrupts readers within the log and not
/// only at its end.
const PAGE_UNDER_LOAD: usize = 7;

/// A resource as a device stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub version: u64,
    /// Text of the payload, byte for byte; `None` for a deleted resource.
    pub payload: Option<String>,
}

/// Resources by channel and id.
pub type Rows = BTreeMap<(String, String), Row>;

/// A device that only pulls.
pub struct Reader {
    device_id: String,
    token: String,
    since: Value,
    /// Resources that the device stores.
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
    /// Returns a device that has never pulled.
    pub fn new(device_id: &str, token: &str) -> Self {
        Self {
            device_id: device_id.to_owned(),
            token: token.to_owned(),
            since: Value::Null,
            rows: Rows::new(),
        }
    }

    /// Returns a new device of the same user.
    pub fn another(&self, device_id: &str) -> Self {
        Self::new(device_id, &self.token)
    }

    /// Pulls until the last page.
    pub fn pull(&mut self, client: &mut Client) {
        for _ in 0..10_000 {
            if !self.pull_page(client, 100).unwrap() {
                return;
            }
        }
        panic!("the pull did not end within 10,000 pages");
    }

    /// Pulls in a loop until the runner is killed.
    pub fn pull_until_cut_off(&mut self, addr: SocketAddr, signals: &LoadSignals) {
        let mut client = Client::connect(addr).unwrap();
        loop {
            if let Err(error) = self.pull_page(&mut client, PAGE_UNDER_LOAD) {
                return signals.report_disconnect(&self.device_id, &error);
            }
        }
    }

    /// Returns the resources that are not deleted.
    pub fn live(&self) -> Rows {
        let live = self.rows.iter().filter(|(_, row)| row.payload.is_some());
        live.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Pulls one page and returns whether there are more.
    fn pull_page(&mut self, client: &mut Client, limit: usize) -> io::Result<bool> {
        let request =
            json!({"since_token": self.since, "device_id": self.device_id, "limit": limit});
        let response = client.post("sync/pull", &self.token, &request.to_string())?;
        assert_eq!(response.status, 200, "{response:?}");
        let page: Page = serde_json::from_str(&response.text)
            .unwrap_or_else(|error| panic!("{error}: {response:?}"));
        // The first pull resets the device's channels. A later reset is allowed, but only a log
        // that lost records has a reason for it.
        assert!(
            page.reset.is_empty() || self.since.is_null(),
            "a kill must not reset a device: {response:?}"
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
