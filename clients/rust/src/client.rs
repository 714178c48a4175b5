//! The state of a device.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Edit, LocalCopy, Options, RejectedEdit, ResourceName, SentBatch,
    copy::{deserialize_copies, serialize_copies},
};

/// The state that a device stores: its queue, its copies and its sync token.
///
/// The whole state is one unit: a device stores it in one transaction, and a backup contains all of
/// it. It is serialized as JSON.
///
/// ```
/// use tidemark_client::{Client, EditContent, ResourceName};
///
/// let mut client = Client::new("phone");
/// let meter = ResourceName::server("tenant", "meter", "m-1");
/// client.enqueue_edit(1, meter, EditContent::Create(r#"{"reading": 1.0}"#)).unwrap();
///
/// let stored = serde_json::to_string(&client).unwrap();
/// let restarted: Client = serde_json::from_str(&stored).unwrap();
/// assert_eq!(restarted.queue()[0].item().get(), client.queue()[0].item().get());
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    pub(crate) device_id: String,
    pub(crate) options: Options,
    pub(crate) sync_token: Option<String>,
    #[serde(
        serialize_with = "serialize_copies",
        deserialize_with = "deserialize_copies"
    )]
    pub(crate) copies: BTreeMap<ResourceName, LocalCopy>,
    pub(crate) queue: Vec<Edit>,
    pub(crate) sent: Option<SentBatch>,
    pub(crate) rejected: Vec<RejectedEdit>,
    pub(crate) pulled: BTreeSet<String>,
}

impl Client {
    /// Returns the client of a device that has never synced. The id has 1 to 256 bytes and
    /// identifies the device together with tenant and user (§1).
    pub fn new(device_id: impl Into<String>) -> Self {
        Self::with_options(device_id, Options::default())
    }

    /// Returns a client that follows other rules than the documented client.
    pub fn with_options(device_id: impl Into<String>, options: Options) -> Self {
        Self {
            device_id: device_id.into(),
            options,
            sync_token: None,
            copies: BTreeMap::new(),
            queue: Vec::new(),
            sent: None,
            rejected: Vec::new(),
            pulled: BTreeSet::new(),
        }
    }

    /// Returns the id of the device.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Returns the rules that the client follows.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Returns the token of the next pull, or `None` before the first page (§4.1).
    pub fn sync_token(&self) -> Option<&str> {
        self.sync_token.as_deref()
    }

    /// Replaces the token of the next pull and keeps the copies. An application has no reason to
    /// do this: it is for tests that repeat a pull, or that send a foreign token.
    pub fn set_sync_token(&mut self, token: Option<String>) {
        self.sync_token = token;
    }

    /// Returns all copies by name, also of deleted resources and of resources of which the device
    /// stores only version numbers.
    pub fn copies(&self) -> &BTreeMap<ResourceName, LocalCopy> {
        &self.copies
    }

    /// Returns the channels that the client has begun to pull and that were not revoked since.
    pub fn pulled_channels(&self) -> &BTreeSet<String> {
        &self.pulled
    }

    /// Returns the edits to send next, oldest first, without those of the batch that was sent.
    pub fn queue(&self) -> &[Edit] {
        &self.queue
    }

    /// Returns the batch that was sent and whose response has not arrived.
    pub fn sent(&self) -> Option<&SentBatch> {
        self.sent.as_ref()
    }

    /// Returns the edits that were not applied and that the user has not dismissed yet, oldest
    /// first.
    pub fn rejected(&self) -> &[RejectedEdit] {
        &self.rejected
    }

    /// Removes a rejected edit by its number, and returns it, after the user has dealt with it.
    pub fn dismiss(&mut self, number: u64) -> Option<RejectedEdit> {
        let position = self
            .rejected
            .iter()
            .position(|rejected| rejected.edit.number() == number)?;
        Some(self.rejected.remove(position))
    }

    /// Returns every edit that waits for its result, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Edit> {
        self.sent
            .iter()
            .flat_map(|sent| &sent.edits)
            .chain(&self.queue)
    }

    /// Returns the edits of a resource that wait for their results, oldest first.
    pub fn waiting_for(&self, name: &ResourceName) -> impl Iterator<Item = &Edit> {
        self.waiting().filter(move |edit| *edit.name() == *name)
    }
}
