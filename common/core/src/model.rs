//! The domain types that the rules, the wire types and the stored rows share.
//!
//! | module | contents |
//! |---|---|
//! | [`audit`] | entries of the audit log |
//! | [`batch`] | which batches a list contains, and what it states about them |
//! | [`catalog`] | the resource types that a deployment declares |
//! | [`change`] | changes that a pull returns |
//! | [`channel`] | channels, and which of them a principal may read and write |
//! | [`conflict`] | conflicts, their edits and outcomes |
//! | [`edit`] | the kinds of change that an edit makes, and items as sent |
//! | [`field_versions`] | the version in which each field of a resource changed last |
//! | [`ids`] | resource, conflict and batch ids |
//! | [`json`] | payloads as the JSON text that was received |
//! | [`key`] | bounded names in table keys |
//! | [`keyword`] | enumerations whose values have one fixed text each |
//! | [`limits`] | the bounds of the protocol |
//! | [`media`] | announced uploads, and the reasons to reject them |
//! | [`pack`] | compression of stored text |
//! | [`position`] | places in a change log, derived from stream sequence numbers |
//! | [`principal`] | the authenticated caller, and authors of changes |
//! | [`receipts`] | which of its own changes a device has received in responses |
//! | [`repair`] | the extent and the period of a repair |
//! | [`resolution`] | the ways to resolve a conflict |
//! | [`resolve`] | commands to resolve a conflict, and their rejections |
//! | [`resource`] | resources with their payloads and versions |
//! | [`result`] | results of pushed items |
//! | [`time`] | the format of times |
//! | [`token`] | the progress of a device in its channels |
//! | [`work`] | counters of the bytes that a request parsed, for tests |

pub mod audit;
pub mod batch;
pub mod catalog;
pub mod change;
pub mod channel;
pub mod conflict;
pub mod edit;
pub mod field_versions;
pub mod ids;
pub mod json;
pub mod key;
pub mod keyword;
pub mod limits;
pub mod media;
pub mod pack;
pub mod position;
pub mod principal;
pub mod receipts;
pub mod repair;
pub mod resolution;
pub mod resolve;
pub mod resource;
pub mod result;
pub mod time;
pub mod token;
pub mod work;
