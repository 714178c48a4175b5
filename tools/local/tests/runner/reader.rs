//! A device that only pulls: page by page from its token, with the reference client.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tidemark_client::{Client as SyncClient, LocalCopy, PullResponse, ResourceName};

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
    token: String,
    client: SyncClient,
}

impl Reader {
    /// Returns a device that has never pulled.
    pub fn new(device_id: &str, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            client: SyncClient::new(device_id),
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
                return signals.report_disconnect(self.client.device_id(), &error);
            }
        }
    }

    /// Returns the resources that the device stores.
    pub fn rows(&self) -> Rows {
        let row = |(name, copy): (&ResourceName, &LocalCopy)| {
            let row = Row {
                version: copy.known,
                payload: copy.payload.as_ref().map(|text| text.get().to_owned()),
            };
            ((name.channel.clone(), name.id.as_str().to_owned()), row)
        };
        self.client.copies().iter().map(row).collect()
    }

    /// Returns the resources that are not deleted.
    pub fn live(&self) -> Rows {
        let live = self.rows().into_iter();
        live.filter(|(_, row)| row.payload.is_some()).collect()
    }

    /// Pulls one page and returns whether there are more.
    fn pull_page(&mut self, client: &mut Client, limit: usize) -> io::Result<bool> {
        let request = self.client.pull_request(limit);
        let response = client.post("sync/pull", &self.token, &request)?;
        assert_eq!(response.status, 200, "{response:?}");
        let page: PullResponse = serde_json::from_str(&response.text)
            .unwrap_or_else(|error| panic!("{error}: {response:?}"));
        // The first pull resets the device's channels. A later reset is allowed, but only a log
        // that lost records has a reason for it.
        assert!(
            page.reset.is_empty() || self.client.sync_token().is_none(),
            "a kill must not reset a device: {response:?}"
        );

        Ok(self.client.apply_page(page).has_more)
    }
}
