//! The loss of copies: channels that the user left, invalid tokens, and restored devices.

use crate::{Client, ResourceName};

/// The treatment of waiting edits when a device takes a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingEdits {
    /// The edits are sent under the new id. This is correct only if no other device can send them.
    Keep,
    /// The edits are dropped, because the original device may send them.
    Drop,
}

impl Client {
    /// Drops the copies of the groups that the user has left. A pull revokes only channels that
    /// the device has pulled (§4.5). A device may also hold copies of a channel that it never
    /// pulled: of resources that it created there. `groups` are the groups in the current JWT.
    ///
    /// ```
    /// use tidemark_client::{BatchBounds, Client, EditContent, ResourceName};
    ///
    /// let mut client = Client::new("phone");
    /// let task = ResourceName::server("group/north", "task", "t-1");
    /// client.enqueue_edit(1, task.clone(), EditContent::Create("{}")).unwrap();
    /// client.next_batch(&BatchBounds::default(), "0d9b6c52");
    /// let response = r#"{"batch_id": "batch-1", "processed_at": "2025-12-22T12:34:56.000Z",
    ///     "server_sync_token": "tm1_a", "results": [{"index": 0, "client_temp_id": null,
    ///     "status": "ok", "server_id": "t-1", "server_version": 1}]}"#;
    /// client.apply_push_response(&serde_json::from_str(response).unwrap()).unwrap();
    ///
    /// client.retain_groups(&["north"]);
    /// assert!(client.displayed(&task).is_some());
    /// client.retain_groups::<&str>(&[]);
    /// assert!(client.displayed(&task).is_none());
    /// ```
    pub fn retain_groups<S: AsRef<str>>(&mut self, groups: &[S]) {
        let pulled = std::mem::take(&mut self.pulled);
        self.drop_copies(|name| {
            let group = name.channel.strip_prefix("group/");
            let is_left = |group: &str| groups.iter().all(|own| own.as_ref() != group);
            !pulled.contains(&name.channel) && group.is_some_and(is_left)
        });
        self.pulled = pulled;
    }

    /// Drops the copies for which `is_dropped` holds, with base and known. The highest used
    /// `client_version` of each resource is kept, and so are the edits that wait.
    pub fn drop_copies(&mut self, is_dropped: impl Fn(&ResourceName) -> bool) {
        self.copies.retain(|name, copy| {
            if is_dropped(name) {
                copy.drop_content();
            }
            !copy.is_unknown()
        });
    }

    /// Forgets the resources for which `is_forgotten` holds: their copies and all of their numbers.
    /// Only a server that was restored from a copy without these resources has no record of the
    /// numbers, so an application has no reason to do this.
    pub fn forget_resources(&mut self, is_forgotten: impl Fn(&ResourceName) -> bool) {
        self.copies.retain(|name, _| !is_forgotten(name));
    }

    /// Drops all copies and the token, after a pull was rejected with 400 `invalid_token` (§4.1).
    /// The next pull begins every channel with a snapshot. Edits that wait are kept.
    ///
    /// ```
    /// use tidemark_client::{Client, EditContent, ResourceName};
    ///
    /// let mut client = Client::new("phone");
    /// client.set_sync_token(Some("tm1_corrupt".to_owned()));
    /// let meter = ResourceName::server("tenant", "meter", "m-1");
    /// client.enqueue_edit(1, meter, EditContent::Create("{}")).unwrap();
    ///
    /// client.reset();
    /// assert_eq!(client.sync_token(), None);
    /// assert_eq!(client.waiting().count(), 1);
    /// ```
    pub fn reset(&mut self) {
        self.drop_copies(|_| true);
        self.sync_token = None;
        self.pulled.clear();
    }

    /// Gives the device a new id, after the application has detected that the store was restored
    /// from a backup or copied to a second device (docs/protocol.md, *Backups and copies of a
    /// device*). Drops the copies and the token.
    ///
    /// ```
    /// use tidemark_client::{Client, EditContent, ResourceName, WaitingEdits};
    ///
    /// let mut client = Client::new("phone");
    /// let meter = ResourceName::server("tenant", "meter", "m-1");
    /// client.enqueue_edit(1, meter, EditContent::Create("{}")).unwrap();
    ///
    /// client.replace_device("phone-2", WaitingEdits::Drop);
    /// assert_eq!((client.device_id(), client.queue().len()), ("phone-2", 0));
    /// ```
    pub fn replace_device(&mut self, device_id: impl Into<String>, waiting: WaitingEdits) {
        self.device_id = device_id.into();
        self.reset();
        self.discard_batch();
        if waiting == WaitingEdits::Drop {
            self.queue.clear();
        }
    }
}
