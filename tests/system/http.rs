//! The HTTP layer (§8): gzip of requests and responses, the published bounds, and rejections as
//! problem documents, whichever component rejects.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod bounds_page;
mod entity_tags;
mod gzip;
mod headers;
mod limits;
pub(crate) mod odd_events;
mod page;
mod problems;
