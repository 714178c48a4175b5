//! `submission_media`: being built.

use chrono::{DateTime, Utc};
use tidemark_core::{channel::Scope, media::Upload, principal::Principal, resource::ResourceKey};

use super::Table;
use crate::failure::Failure;

/// The table.
#[derive(Debug, Clone)]
pub struct SubmissionMedia(#[expect(dead_code, reason = "being built")] pub(super) Table);

impl SubmissionMedia {
    /// Being built.
    ///
    /// # Errors
    /// None.
    pub async fn put(
        &self,
        _scope: &Scope,
        _key: &ResourceKey,
        _upload: &Upload,
        _by: &Principal,
        _device_id: &str,
        _now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        Ok(())
    }
}
