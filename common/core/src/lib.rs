//! The rules of Tidemark: how pushes are evaluated, changes sequenced and pulls paged. The crate
//! has no async code, clock, AWS client or I/O: the caller passes everything that a rule depends
//! on, so that tests can run a million cases per minute.
//!
//! # The life of an edit
//!
//! 1. A device sends its queued edits ([`protocol::push`]). [`push::intake`] parses them and groups
//!    them by resource; [`push::order`] and [`push::references`] find what depends on what.
//! 2. The caller loads the current state of the resources, and [`push::decide`] folds each group
//!    into one write, one conflict or one error. The write is conditional on the version that was
//!    read; if the condition fails, the group is decided again.
//! 3. The stream of the table delivers the written versions. [`sequence::plan`] appends them to the
//!    change log of their channel as segments, in the order of the stream.
//! 4. A device pulls ([`protocol::pull`]). [`pull::start`] decides for each channel whether the
//!    position in the [`token`] can be continued or a snapshot is needed, and [`pull::page`] fills a
//!    page with snapshots and changes.
//! 5. The device acknowledges the positions that it has applied ([`ack`]).
//! 6. An admin resolves a conflict ([`resolve`]); its result is a write like any other and is
//!    sequenced in the same way.
//!
//! # Map
//!
//! | modules | contents |
//! |---|---|
//! | [`catalog`], [`channel`], [`conflict`], [`ids`], [`principal`], [`resource`] | the domain: types that all rules share |
//! | [`push`], [`resolve`], [`patch`], [`field_versions`], [`unique`] | evaluation of edits, conflicts and their resolution |
//! | [`sequence`], [`pull`], [`token`], [`receipts`], [`ack`], [`delivery`] | the change log and its delivery to devices |
//! | [`media`] | media keys and the verification of uploads |
//! | [`protocol`], [`routes`], [`limits`], [`cursor`] | request and response bodies, routes and bounds |
//! | [`json`], [`pack`], [`gzip`], [`key`] | JSON as received, compression, table keys |
//! | [`audit`], [`batch`], [`origins`], [`work`] | audit entries, stored batches, CORS origins, counters of work |
//!
//! `docs/protocol.md` specifies the behavior, `docs/glossary.md` defines the terms, and
//! `docs/architecture.md` states the invariants.

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
