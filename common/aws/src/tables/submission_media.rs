//! `submission_media`: being built.

use super::Table;

/// The table.
#[derive(Debug, Clone)]
pub struct SubmissionMedia(#[expect(dead_code, reason = "being built")] pub(super) Table);
