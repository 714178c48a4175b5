//! Handles a device that has reached the limit of open conflicts (§3.5): an edit that would open
//! another conflict is rejected as retryable.

use std::collections::HashSet;

use crate::{
    model::{
        limits::OPEN_CONFLICTS_MAX,
        result::{ItemCode, ItemResult, Status},
    },
    rules::push::decision::Decision,
};

impl Decision {
    /// Returns whether the decision opens a conflict that waits for an admin.
    ///
    /// See the example of [`without_new_conflicts`](Self::without_new_conflicts).
    pub fn opens_conflicts(&self) -> bool {
        self.conflicts.iter().any(|write| write.expected_edits == 0)
    }

    /// Returns the decision for a device that must not open more conflicts. An edit that would open
    /// one gets the error `too_many_conflicts`, and an edit that would join it gets
    /// `depends_on_failed_item`. Both are retryable. Applied edits and edits that join an existing
    /// conflict are unaffected.
    ///
    /// # Example
    ///
    /// ```
    /// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
    /// use std::collections::HashMap;
    /// use serde_json::json;
    /// use tidemark_core::{
    ///     model::result::ItemCode,
    ///     rules::push::{
    ///         decide::decide,
    ///         decision::{CurrentState, Lookups},
    ///         media::MediaVerification,
    ///     },
    /// };
    ///
    /// let phone = phone::Phone::new();
    /// let patch = json!({"id": "m-1", "unit": "kWh"});
    /// let outdated = json!({"action": "update", "base_version": 0, "payload": patch});
    /// let group = phone.batch([outdated]).groups.remove(0);
    /// let stored = CurrentState { resource: Some(phone::stored("{}")), conflicts: Some(vec![]) };
    /// let lookups = Lookups { holders: &HashMap::new(), media: &MediaVerification::default() };
    /// let decision = decide(&group, &stored, lookups, phone.sender(), Default::default());
    /// let decision = decision.unwrap();
    /// assert!(decision.opens_conflicts());
    ///
    /// let decision = decision.without_new_conflicts();
    /// assert!(!decision.opens_conflicts());
    /// assert_eq!(decision.results[0].code, Some(ItemCode::TooManyConflicts));
    /// assert!(decision.results[0].is_retryable());
    /// ```
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
            // Later edits of the resource are retryable as well.
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
