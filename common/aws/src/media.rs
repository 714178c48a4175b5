//! The media bucket: signing uploads, and looking at what was uploaded.

use std::collections::HashMap;

use tidemark_core::media::Checked;

/// The media bucket.
#[derive(Debug, Clone)]
pub struct Media {}

impl Media {
    /// What stands under these keys, looked at side by side.
    pub async fn check(&self, _keys: Vec<String>) -> HashMap<String, Checked> {
        HashMap::new()
    }
}
