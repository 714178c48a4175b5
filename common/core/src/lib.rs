//! The rules of Tidemark: how pushes are evaluated, changes sequenced and pulls paged. The crate
//! has no async code, clock, AWS client or I/O: the caller passes everything that a rule depends
//! on, so that tests can run a million cases per minute.
//!
//! # Three layers
//!
//! | module | contents | imports |
//! |---|---|---|
//! | [`model`] | the domain types: resources, channels, conflicts, positions, JSON payloads | nothing |
//! | [`rules`] | pure functions over these types: push, sequencing, pull, resolution, delivery | `model` |
//! | [`wire`] | the bodies of requests and responses, problems, tokens, routes | `model` |
//!
//! `tests/system/layers.rs` fails if a module imports against this direction, or if modules import each
//! other in a cycle.
//!
//! # The life of an edit
//!
//! 1. A device sends its queued edits. [`wire::push`] parses the items, and
//!    [`rules::push::intake`] groups their edits by resource; [`rules::push::order`] and
//!    [`rules::push::references`] find what depends on what.
//! 2. The caller loads the current state of the resources, and [`rules::push::decide`] folds each
//!    group into one write, one conflict or one error. The write is conditional on the version that
//!    was read; if the condition fails, the group is decided again.
//! 3. The stream of the table delivers the written versions. [`rules::sequence::plan`] appends them
//!    to the change log of their channel as segments, in the order of the stream.
//! 4. A device pulls ([`wire::pull`]). [`rules::pull::start`] decides for each channel whether the
//!    position in the token ([`wire::token`]) can be continued or a snapshot is needed, and
//!    [`rules::pull::page`] fills a page with snapshots and changes.
//! 5. The device acknowledges the positions that it has applied ([`rules::ack`]).
//! 6. An admin resolves a conflict ([`rules::resolve`]); its result is a write like any other and
//!    is sequenced in the same way.
//!
//! `docs/protocol.md` specifies the behavior, `docs/glossary.md` defines the terms, and
//! `docs/architecture.md` states the invariants.

pub mod model;
pub mod rules;
pub mod wire;
