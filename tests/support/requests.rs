//! Requests whose work is measured: for every route an ordinary request, and the valid requests
//! that are known to cause the most work. The system tests compare counters of their work with
//! bounds, and `bench work` measures their CPU time.

mod case;
mod conflicts;
mod lists;
mod observer;
mod pull;
mod push;
mod push_many;
mod text;

pub use case::{Case, Request};
pub use observer::{NestedHooks, Traffic, TrafficCounter};

/// The amount of data that is stored before a request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Number of rows of [`LARGE_BYTES`].
    pub large_rows: usize,
    /// Number of pushes in the change log, each of which changes eight large rows.
    pub pushes: usize,
    /// Number of edits of one conflict.
    pub edits: usize,
    /// Number of entries of a list.
    pub entries: usize,
}

impl Scale {
    /// The largest scale that is measured.
    pub const FULL: Self = Self {
        large_rows: 50,
        pushes: 300,
        edits: 100,
        entries: 200,
    };
    /// A scale that a test in a debug build prepares within seconds. A defect violates bounds on
    /// passes and bytes at this scale, too.
    pub const SMALL: Self = Self {
        large_rows: 8,
        pushes: 3,
        edits: 16,
        entries: 12,
    };
}

/// Bytes of a large payload, slightly below the maximum size of a payload.
pub const LARGE_BYTES: usize = 340_000;

/// Returns all cases. An ordinary case precedes the cases that are compared with it.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [
        push::CASES,
        push_many::CASES,
        pull::CASES,
        conflicts::CASES,
        lists::CASES,
    ]
    .into_iter()
    .flatten()
}
