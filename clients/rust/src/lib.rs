//! The reference client of Tidemark: the device side of the sync protocol as a pure state machine.
//!
//! `docs/protocol.md` specifies the rules in the section *Writing a client*. This crate implements
//! them literally. [`Client`] is the state that a device stores. It has no I/O, no clock and no
//! randomness: its methods return request bodies, and apply responses that the caller received.
//!
//! The caller has these duties:
//!
//! - It stores the client after each call that changes it, before it does anything else:
//!   [`Client`] implements `serde`'s traits for this purpose, as JSON. A crash between two calls is
//!   harmless.
//! - It sends requests, one at a time, and repeats a request whose response did not arrive. It
//!   waits between attempts and requests a new JWT after a 401.
//! - It creates random ids: temp ids and batch ids are UUIDs, because counters would repeat after a
//!   reinstall.
//! - It has one client per user, tenant and `device_id`.
//!
//! # Map
//!
//! | types | module | contents |
//! |---|---|---|
//! | [`Client`] | `client` | the stored state |
//! | [`Client::displayed`] | `view` | what the user sees |
//! | [`ResourceName`], [`ResourceId`] | `name` | the identity of a resource |
//! | [`LocalCopy`] | `copy` | the copy of a resource and its version numbers |
//! | [`Edit`], [`EditContent`], [`InvalidPayload`] | `edit` | an edit as it is stored and sent |
//! | [`Client::enqueue_edit`] | `numbering` | the version numbers of an edit |
//! | [`SentBatch`], [`BatchBounds`] | `batch` | the batch whose response is pending |
//! | [`PushReport`], [`EditOutcome`], [`RejectedEdit`] | `response` | the response to a push |
//! | [`Client::apply_push_response`] | `result`, `server_id` | the effect of each result |
//! | [`PageReport`] | `page` | the pages of a pull, and their acknowledgement |
//! | [`WaitingEdits`] | `reset` | channels that were left, invalid tokens, restored devices |
//! | [`Options`] | `options` | clients of earlier versions of the protocol page |
//!
//! Payloads are JSON text from the application to the server and back: numbers keep their digits,
//! and objects the order of their fields.
//!
//! # A device in ten lines
//!
//! The program in `examples/sync.rs` does the same over HTTP.
//!
//! ```
//! use tidemark_client::{BatchBounds, Client, EditContent, ResourceName};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let send = |route: &str, _body: &str| match route {
//! #     "sync/push" => r#"{"batch_id": "batch-1", "processed_at": "2025-12-22T12:34:56.000Z",
//! #         "server_sync_token": "tm1_a", "results": [{"index": 0, "client_temp_id": "5f0c7c1e",
//! #         "status": "ok", "server_id": "m-1", "server_version": 1}]}"#,
//! #     _ => r#"{"next_token": "tm1_b", "has_more": false, "reset": ["tenant"],
//! #         "server_time": "2025-12-22T12:35:01.000Z", "changes": [{"id": "m-1",
//! #         "resource_type": "meter", "channel": "tenant", "action": "create",
//! #         "payload": {"reading": 44.0}, "server_version": 1,
//! #         "changed_at": "2025-12-22T12:34:56.000Z"}]}"#,
//! # };
//! let mut client = Client::new("phone");
//! let meter = ResourceName::temp("tenant", "meter", "5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01");
//! client.enqueue_edit(1, meter, EditContent::Create(r#"{"reading": 44.0}"#))?;
//!
//! client.next_batch(&BatchBounds::default(), "0d9b6c52-3f0e-4a8e-9d51-6a3c1f7e2b17");
//! if let Some(body) = client.push_request() {
//!     client.apply_push_response(&serde_json::from_str(send("sync/push", &body))?)?;
//! }
//! let body = client.pull_request(100);
//! let report = client.apply_page(serde_json::from_str(send("sync/pull", &body))?);
//!
//! assert!(!report.has_more && client.waiting().next().is_none());
//! let meter = ResourceName::server("tenant", "meter", "m-1");
//! assert_eq!(client.displayed(&meter).unwrap().get(), r#"{"reading": 44.0}"#);
//! # Ok(())
//! # }
//! ```

mod batch;
mod client;
mod copy;
mod edit;
mod name;
mod numbering;
mod options;
mod page;
mod payload;
mod rejected_edit;
mod reset;
mod response;
mod result;
mod sent_batch;
mod server_id;
mod view;

pub use batch::BatchBounds;
pub use client::Client;
pub use copy::LocalCopy;
pub use edit::{Edit, EditContent, InvalidPayload};
pub use name::{ResourceId, ResourceName};
pub use options::Options;
pub use page::PageReport;
pub use rejected_edit::RejectedEdit;
pub use reset::WaitingEdits;
pub use response::{EditOutcome, PushReport, ResponseMismatch};
pub use sent_batch::SentBatch;
pub use tidemark_core::{
    model::{
        edit::Action,
        result::{ItemCode, Status},
    },
    wire::{
        pull::{Change, PullResponse},
        push::{ItemResultBody as ItemResult, PushResponse},
    },
};
