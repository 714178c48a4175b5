//! Push: decides the edits of a batch and commits the decisions.

pub mod batch;

/// Whether the decisions about a batch are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The decisions are committed.
    Apply,
    /// The batch is not written, and the results state the effect that it would have (§7).
    DryRun,
}
