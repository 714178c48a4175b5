//! The rules of Tidemark: how pushes are evaluated, changes sequenced and pulls paged. The crate
//! has no async code, clock, AWS client or I/O: the caller passes everything that a rule depends
//! on, so that tests can run a million cases per minute.

pub mod ack;
pub mod audit;
pub mod batch;
pub mod catalog;
pub mod channel;
pub mod conflict;
pub mod cursor;
pub mod delivery;
pub mod field_versions;
pub mod gzip;
pub mod ids;
pub mod json;
pub mod key;
pub mod limits;
pub mod media;
pub mod origins;
pub mod pack;
pub mod patch;
pub mod principal;
pub mod protocol;
pub mod pull;
pub mod push;
pub mod receipts;
pub mod resolve;
pub mod resource;
pub mod routes;
pub mod sequence;
pub mod token;
pub mod unique;
pub mod work;
