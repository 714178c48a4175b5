//! The batch that was sent and whose response is pending (docs/protocol.md, *The push loop*).

use serde::{Deserialize, Serialize};

use crate::Edit;

/// A batch that was sent and whose response has not arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentBatch {
    pub(crate) batch_id: Option<String>,
    pub(crate) edits: Vec<Edit>,
}

impl SentBatch {
    /// Returns the `batch_id` of the request, if the client sends one (§3.6).
    pub fn batch_id(&self) -> Option<&str> {
        self.batch_id.as_deref()
    }

    /// Returns the edits of the batch, oldest first.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }
}
