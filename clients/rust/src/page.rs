//! The pages of a pull, and their acknowledgement (docs/protocol.md, *The pull loop*, §4).

use serde::Serialize;

use crate::{Change, Client, PullResponse, ResourceName};

/// The effect of a page on the device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageReport {
    /// Whether to pull again immediately.
    pub has_more: bool,
    /// Number of changes that the device stored. It skips changes that it has already.
    pub stored_changes: usize,
    /// The channels that the device had pulled before and that the page resets (§4.5).
    pub resets: Vec<String>,
}

/// The body of a pull (§4).
#[derive(Serialize)]
struct PullBody<'a> {
    since_token: Option<&'a str>,
    device_id: &'a str,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_changes: Option<&'static str>,
}

/// The body of an acknowledgement (§4.8).
#[derive(Serialize)]
struct AckBody<'a> {
    ack_token: &'a str,
    device_id: &'a str,
}

impl Client {
    /// Returns the body of `POST /sync/pull` for a page of at most `limit` changes, 1 to 500 (§4).
    pub fn pull_request(&self, limit: usize) -> String {
        let body = PullBody {
            since_token: self.sync_token.as_deref(),
            device_id: &self.device_id,
            limit,
            own_changes: self.options.is_current.then_some("unanswered"),
        };
        serde_json::to_string(&body).unwrap_or_default() // text always serializes
    }

    /// Applies a page: drops the copies of revoked and reset channels, stores the changes, and
    /// replaces the token. Edits that wait are kept. The device stores all of this in one
    /// transaction, and acknowledges it afterwards.
    ///
    /// A change that is older than the highest known version is skipped: the copy contains later
    /// edits of this device, which no pull would deliver again.
    ///
    /// ```
    /// use tidemark_client::{Client, ResourceName};
    ///
    /// let mut client = Client::new("tablet");
    /// let page = |changes: &str| {
    ///     let page = format!(
    ///         r#"{{"next_token": "tm1_a", "has_more": false, "reset": ["tenant"],
    ///             "server_time": "2025-12-22T12:35:01.000Z", "changes": [{changes}]}}"#
    ///     );
    ///     serde_json::from_str(&page).unwrap()
    /// };
    /// let change = r#"{"id": "m-1", "resource_type": "meter", "channel": "tenant",
    ///     "action": "create", "payload": {"reading": 42.50}, "server_version": 9,
    ///     "changed_at": "2025-12-22T12:34:56.000Z"}"#;
    ///
    /// client.apply_page(page(change));
    /// let copy = &client.copies()[&ResourceName::server("tenant", "meter", "m-1")];
    /// assert_eq!(copy.payload.as_ref().unwrap().get(), r#"{"reading": 42.50}"#);
    /// assert_eq!((copy.base, copy.known), (9, 9));
    ///
    /// // The channel is reset: the snapshot does not contain the meter, so it was deleted.
    /// let report = client.apply_page(page(""));
    /// assert_eq!(report.resets, ["tenant"]);
    /// assert!(client.copies().is_empty());
    /// ```
    pub fn apply_page(&mut self, page: PullResponse) -> PageReport {
        let mut report = PageReport {
            has_more: page.has_more,
            ..PageReport::default()
        };

        self.drop_copies(|name| {
            page.revoked.contains(&name.channel) || page.reset.contains(&name.channel)
        });
        self.pulled
            .retain(|channel| !page.revoked.contains(channel));
        for channel in page.reset {
            if !self.pulled.insert(channel.clone()) {
                report.resets.push(channel);
            }
        }

        for change in page.changes {
            report.stored_changes += usize::from(self.apply_change(change));
        }
        self.sync_token = Some(page.next_token);
        report
    }

    /// Stores a change unless the device has that version or a newer one. Returns whether the
    /// change was stored.
    fn apply_change(&mut self, change: Change) -> bool {
        let name = ResourceName::server(change.channel, change.resource_type, change.id);
        let (known, base) = self
            .copies
            .get(&name)
            .map_or((0, 0), |copy| (copy.known, copy.base));
        if change.server_version <= base || change.server_version < known {
            return false;
        }

        let copy = self.copies.entry(name).or_default();
        copy.receive(change.payload, change.server_version);
        true
    }

    /// Returns the body of `POST /sync/ack`, which acknowledges every page that was applied, or
    /// `None` before the first page (§4.8). A lost acknowledgement is harmless, because the next
    /// one includes it.
    pub fn ack_request(&self) -> Option<String> {
        let body = AckBody {
            ack_token: self.sync_token.as_deref()?,
            device_id: &self.device_id,
        };
        serde_json::to_string(&body).ok() // text always serializes
    }
}
