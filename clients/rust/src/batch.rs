//! The batch whose response is pending, and the request that sends it (docs/protocol.md,
//! *The push loop*).

use serde::Serialize;
use serde_json::value::RawValue;
use tidemark_core::model::limits::BATCH_ITEMS_MAX;

use crate::{Client, Edit, SentBatch};

/// The upper bounds of a new batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchBounds {
    /// Number of items, at least 1. The server accepts 50.
    pub items: usize,
    /// Bytes of the items as UTF-8. The first item is part of the batch regardless of its size. The
    /// server accepts bodies of 3 MiB, which also contain the sync token.
    pub bytes: usize,
}

impl Default for BatchBounds {
    /// Returns 50 items and 2.7 MB, which leaves room for the longest token.
    fn default() -> Self {
        Self {
            items: BATCH_ITEMS_MAX,
            bytes: 2_700_000,
        }
    }
}

/// The body of a push (§3).
#[derive(Serialize)]
struct PushBody<'a> {
    device_id: &'a str,
    client_sync_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    items: Vec<&'a RawValue>,
}

impl Client {
    /// Returns the batch to send: the batch whose response is pending, or a new batch of the first
    /// edits of the queue. Returns `None` if no edit waits.
    ///
    /// A new batch gets `batch_id`, which is random, 1 to 256 bytes. A counter would repeat its ids
    /// after the device was restored from a backup.
    ///
    /// ```
    /// use tidemark_client::{BatchBounds, Client, EditContent, ResourceName};
    ///
    /// let mut client = Client::new("phone");
    /// for number in 1..=60 {
    ///     let meter = ResourceName::server("tenant", "meter", format!("m-{number}"));
    ///     client.enqueue_edit(number, meter, EditContent::Create("{}")).unwrap();
    /// }
    ///
    /// let bounds = BatchBounds::default();
    /// assert_eq!(client.next_batch(&bounds, "0d9b6c52").unwrap().edits().len(), 50);
    ///
    /// // Until its response arrives, the same batch is sent again.
    /// let again = client.next_batch(&bounds, "7c1e8a4d").unwrap();
    /// assert_eq!((again.batch_id(), again.edits().len()), (Some("0d9b6c52"), 50));
    /// ```
    pub fn next_batch(&mut self, bounds: &BatchBounds, batch_id: &str) -> Option<&SentBatch> {
        if self.sent.is_none() && !self.queue.is_empty() {
            let edits: Vec<Edit> = self.queue.drain(..self.batch_len(bounds)).collect();
            let batch_id = self.options.sends_batch_id.then(|| batch_id.to_owned());
            self.sent = Some(SentBatch { batch_id, edits });
        }
        self.sent.as_ref()
    }

    /// Returns the number of edits at the front of the queue that fit into a batch.
    fn batch_len(&self, bounds: &BatchBounds) -> usize {
        let mut bytes = 0;
        let fits = |edit: &&Edit| {
            bytes += edit.item().get().len() + 1; // and a comma
            bytes <= bounds.bytes
        };

        let len = self
            .queue
            .iter()
            .take(bounds.items)
            .take_while(fits)
            .count();
        len.max(1)
    }

    /// Returns the body of `POST /sync/push` with the batch of [`next_batch`](Self::next_batch), or
    /// `None` if there is no batch (§3).
    pub fn push_request(&self) -> Option<String> {
        let sent = self.sent.as_ref()?;
        let body = PushBody {
            device_id: &self.device_id,
            client_sync_token: self.sync_token.as_deref(),
            batch_id: sent.batch_id(),
            items: sent.edits.iter().map(Edit::item).collect(),
        };
        serde_json::to_string(&body).ok() // text and raw JSON always serialize
    }

    /// Returns the edits of the batch to the front of the queue, as if the batch had not been
    /// stored. The edits may be sent again in other batches, because every item is idempotent
    /// (§3.6).
    pub fn discard_batch(&mut self) {
        if let Some(sent) = self.sent.take() {
            self.queue.splice(0..0, sent.edits);
        }
    }
}
