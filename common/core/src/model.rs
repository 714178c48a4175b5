//! The domain types that the rules, the wire types and the stored rows share.
//!
//! | module | contents |
//! |---|---|
//! | [`catalog`] | the resource types that a deployment declares |
//! | [`channel`] | channels, and which of them a principal may read and write |
//! | [`conflict`] | conflicts, their edits and outcomes |
//! | [`field_versions`] | the version in which each field of a resource changed last |
//! | [`ids`] | resource, conflict and batch ids |
//! | [`json`] | payloads as the JSON text that was received |
//! | [`key`] | bounded names in table keys |
//! | [`limits`] | the bounds of the protocol |
//! | [`pack`] | compression of stored text |
//! | [`position`] | positions of changes in the stream of a table |
//! | [`principal`] | the authenticated caller, and authors of changes |
//! | [`receipts`] | which of its own changes a device has received in responses |
//! | [`resource`] | resources with their payloads and versions |
//! | [`work`] | counters of the bytes that a request parsed, for tests |

pub mod catalog;
pub mod channel;
pub mod conflict;
pub mod field_versions;
pub mod ids;
pub mod json;
pub mod key;
pub mod limits;
pub mod pack;
pub mod position;
pub mod principal;
pub mod receipts;
pub mod resource;
pub mod work;
