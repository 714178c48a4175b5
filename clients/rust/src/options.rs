//! Clients of earlier versions of the protocol page.

use serde::{Deserialize, Serialize};

/// The rules that a client follows. The default is the client of docs/protocol.md, *Writing a
/// client*; an application never changes it.
///
/// The server keeps serving clients that were written for earlier versions of the page. The
/// simulation therefore also runs devices with other options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Whether items contain `base_version` (§3.3). Without it, the server takes `client_version`
    /// as the base.
    pub sends_base_version: bool,
    /// Whether the client stores the `server_sync_token` of a push response (§3.13). Without it,
    /// its token has no receipts.
    pub stores_push_token: bool,
    /// Whether the client sends a `batch_id` (§3.6). Without it, only the items are idempotent.
    pub sends_batch_id: bool,
    /// Whether the client follows the rules that were added to the page later:
    ///
    /// - Every create gets a number like other edits. Before, its `client_version` was always 0.
    /// - The version of an own delete becomes the base.
    /// - The token of a push is not stored while a copy is incomplete.
    /// - Pulls contain `own_changes: "unanswered"` (§4.6).
    pub is_current: bool,
}

impl Options {
    /// The client of the first version of the protocol page.
    pub const EARLIEST: Self = Self {
        sends_base_version: false,
        stores_push_token: false,
        sends_batch_id: false,
        is_current: false,
    };
}

impl Default for Options {
    /// Returns the options of the documented client.
    fn default() -> Self {
        Self {
            sends_base_version: true,
            stores_push_token: true,
            sends_batch_id: true,
            is_current: true,
        }
    }
}
