//! A device with as many open conflicts as it may have (§3.5): an edit that would open one more is
//! refused for now.

use std::collections::HashSet;

use super::decide::Decision;
use crate::{
    limits::OPEN_CONFLICTS_MAX,
    protocol::push::{ItemCode, ItemResult, Status},
};

impl Decision {
    /// Whether it opens a conflict that waits for an admin.
    pub fn opens_conflicts(&self) -> bool {
        self.conflicts.iter().any(|write| write.expected_edits == 0)
    }

    /// The decision for a device that may open no more conflicts: an edit that would open one is
    /// the error `too_many_conflicts`, and what would join it depends on a failed item. Both may be
    /// sent again. What is applied and what joins an older conflict stays as it is.
    #[must_use]
    pub fn without_new_conflicts(mut self) -> Self {
        let is_opened = |expected_edits: usize| expected_edits == 0;
        let opened: HashSet<String> = self
            .conflicts
            .iter()
            .filter(|write| is_opened(write.expected_edits))
            .map(|write| write.id.clone())
            .collect();
        self.conflicts
            .retain(|write| !is_opened(write.expected_edits));
        let mut rejected: HashSet<String> = HashSet::new();
        for result in &mut self.results {
            let Some(id) = result.conflict_id.clone().filter(|id| opened.contains(id)) else {
                continue;
            };
            *result = rejection(result, rejected.insert(id));
            // What follows on the resource may be sent again, too.
            self.carried.failed = Some(true);
        }
        self
    }
}

fn rejection(result: &ItemResult, is_first: bool) -> ItemResult {
    let (code, error) = if is_first {
        let error = format!(
            "the device has {OPEN_CONFLICTS_MAX} open conflicts: send the item again when some are resolved"
        );
        (ItemCode::TooManyConflicts, error)
    } else {
        (
            ItemCode::DependsOnFailedItem,
            "an earlier item of this batch on the same resource failed".to_owned(),
        )
    };
    let ItemResult {
        index,
        client_temp_id,
        server_id,
        ..
    } = result;
    ItemResult {
        status: Status::Error,
        server_version: None,
        code: Some(code),
        error: Some(error),
        retryable: Some(true),
        ..ItemResult::ok(
            *index,
            client_temp_id.clone(),
            server_id.clone().unwrap_or_default(),
            None,
        )
    }
}
