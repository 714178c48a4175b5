//! The response to a push (*The push loop*, §3).

use serde::{Deserialize, Serialize};

use crate::{
    Action, Client, Edit, ItemResult, PushResponse, ResourceId, ResourceName, Status, client::apply,
};

/// An edit that the server did not apply, for the user's attention.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectedEdit {
    /// The edit, whose content is not part of the copy.
    pub edit: Edit,
    /// The result: a conflict, whose `conflict_id` and `resolution` show what happens to the edit
    /// (§5), or an error that is not retryable.
    pub result: ItemResult,
}

/// The effect of a result on its edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditOutcome {
    /// The edit was applied, now or before, or changed nothing. It does not wait any more.
    Applied,
    /// The edit is part of a conflict, and of [`Client::rejected`].
    Conflict,
    /// The error is retryable. The edit waits in the queue again.
    Retryable,
    /// The error is permanent. The edit is part of [`Client::rejected`].
    Failed,
}

/// The effect of a push response on the device.
#[derive(Debug, Clone, Default)]
pub struct PushReport {
    /// The number and the outcome of each edit, in the order of the batch.
    pub outcomes: Vec<(u64, EditOutcome)>,
    /// The names with a temp id that were replaced, each with the name that replaced it. References
    /// to the temp ids in other copies are the application's to replace; the next pull delivers the
    /// stored content of such a resource (§3.10).
    pub renamed: Vec<(ResourceName, ResourceName)>,
}

impl PushReport {
    /// Returns whether an edit has a retryable error. The device then waits before its next push.
    pub fn is_any_retryable(&self) -> bool {
        self.outcomes
            .iter()
            .any(|(_, outcome)| *outcome == EditOutcome::Retryable)
    }
}

/// The error for a response that has not one result for each edit of the sent batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the response has {results} results for a batch of {edits} edits: send the batch again, and check which request the response belongs to"
)]
pub struct ResponseMismatch {
    /// Number of edits in the batch whose response is pending; 0 if there is none.
    pub edits: usize,
    /// Number of results in the response.
    pub results: usize,
}

impl Client {
    /// Applies the response to the sent batch: edits with a result leave the queue, copies take
    /// over what the server reports, and the token gets the receipts of the response (§3.13). The
    /// device stores all of this in one transaction.
    ///
    /// A copy takes over content of the server only if the device has received no newer version. A
    /// result below the known version is older than what a pull delivered, and no later pull would
    /// deliver that again.
    ///
    /// # Errors
    /// Returns [`ResponseMismatch`] if no batch is pending, or if the number of results differs.
    /// The state is unchanged then.
    ///
    /// ```
    /// use tidemark_client::{BatchBounds, Client, EditContent, EditOutcome, ResourceName};
    ///
    /// let mut client = Client::new("phone");
    /// let meter = ResourceName::server("tenant", "meter", "m-1");
    /// let update = EditContent::Update(r#"{"reading": 42}"#);
    /// client.enqueue_edit(1, meter.clone(), update).unwrap();
    /// client.next_batch(&BatchBounds::default(), "0d9b6c52");
    ///
    /// let response = r#"{"batch_id": "batch-1", "processed_at": "2025-12-22T12:34:56.000Z",
    ///     "server_sync_token": "tm1_a", "results": [{"index": 0, "client_temp_id": null,
    ///     "status": "conflict", "conflict_id": "conf-1", "server_id": "m-1", "server_version": 7,
    ///     "server_payload": {"reading": 50}, "code": "version_mismatch"}]}"#;
    /// let response = serde_json::from_str(response).unwrap();
    /// let report = client.apply_push_response(&response).unwrap();
    ///
    /// // The device takes over the server's copy, and keeps the edit for the user.
    /// assert_eq!(report.outcomes, [(1, EditOutcome::Conflict)]);
    /// assert_eq!(client.displayed(&meter).unwrap().get(), r#"{"reading": 50}"#);
    /// assert_eq!(client.rejected()[0].result.conflict_id.as_deref(), Some("conf-1"));
    /// assert!(client.apply_push_response(&response).is_err(), "no batch is pending any more");
    /// ```
    pub fn apply_push_response(
        &mut self,
        response: &PushResponse,
    ) -> Result<PushReport, ResponseMismatch> {
        let results = response.results.len();
        let edits = self.sent.as_ref().map_or(0, |sent| sent.edits.len());
        let Some(sent) = self.sent.take_if(|_| edits == results) else {
            return Err(ResponseMismatch { edits, results });
        };

        let mut report = PushReport::default();
        let mut retryable = Vec::new();
        for (mut edit, result) in sent.edits.into_iter().zip(&response.results) {
            self.adopt_server_id(&mut edit, result, &mut report);
            let outcome = outcome(result);
            report.outcomes.push((edit.number(), outcome));
            match outcome {
                EditOutcome::Applied => self.apply_ok(&edit, result),
                EditOutcome::Conflict => self.apply_conflict(&edit.name, result),
                EditOutcome::Retryable | EditOutcome::Failed => {}
            }

            match outcome {
                EditOutcome::Applied => {}
                EditOutcome::Retryable => retryable.push(edit),
                EditOutcome::Conflict | EditOutcome::Failed => self.rejected.push(RejectedEdit {
                    edit,
                    result: result.clone(),
                }),
            }
        }

        self.queue.splice(0..0, retryable);
        if self.stores_push_token() {
            self.sync_token = Some(response.server_sync_token.clone());
        }
        Ok(report)
    }

    /// Returns whether the token of a push may be stored. While a copy is incomplete, a receipt for
    /// a later version would prevent pulls from delivering it.
    fn stores_push_token(&self) -> bool {
        let is_any_incomplete = || self.copies.values().any(|copy| copy.is_incomplete);
        self.options.stores_push_token && !(self.options.is_current && is_any_incomplete())
    }

    /// Applies the result of an edit that was applied, now or earlier. If the device lacks versions
    /// before it, its pulls have to deliver them.
    fn apply_ok(&mut self, edit: &Edit, result: &ItemResult) {
        let version = result.server_version.unwrap_or_default();
        let copy = self.copies.entry(edit.name.clone()).or_default();
        if result.server_payload_omitted || version <= copy.base {
            return; // a pull delivers it, or has delivered it
        }

        if let Some(payload) = &result.server_payload {
            if version >= copy.known {
                copy.receive(Some(payload.clone()), version);
            }
            return;
        }

        if edit.action() == Action::Delete && self.options.is_current {
            copy.base = version; // a deleted resource has no more content to receive
        } else {
            copy.is_incomplete |= version > copy.known + 1;
        }

        copy.known = copy.known.max(version);
        copy.payload = apply(edit, copy.payload.as_deref());
    }

    /// Applies the result of an edit that conflicts: the server's copy replaces the device's copy
    /// unless the device knows a newer version.
    fn apply_conflict(&mut self, name: &ResourceName, result: &ItemResult) {
        let copy = self.copies.entry(name.clone()).or_default();
        let Some(version) = result.server_version else {
            return; // the resource does not exist: the user's edit remains a draft
        };
        if result.server_payload_omitted || version < copy.known {
            return; // a pull delivers it, or has delivered a newer version
        }

        copy.receive(result.server_payload.clone(), version);
    }

    /// Gives the edit, the copy and the queued edits of a temp id the id that the server reported.
    fn adopt_server_id(&mut self, edit: &mut Edit, result: &ItemResult, report: &mut PushReport) {
        let Some(id) = &result.server_id else { return };
        let name = ResourceName {
            id: ResourceId::Server(id.clone()),
            ..edit.name.clone()
        };
        if name == edit.name {
            return;
        }

        let temp_name = std::mem::replace(&mut edit.name, name.clone());
        if let Some(copy) = self.copies.remove(&temp_name) {
            // A pull may have delivered the resource already.
            let used = copy.used;
            let copy = self.copies.entry(name.clone()).or_insert(copy);
            copy.used = copy.used.max(used);
            copy.temp_id = Some(temp_name.id.as_str().to_owned());
        }

        self.queue
            .iter_mut()
            .filter(|waiting| waiting.name == temp_name)
            .for_each(|waiting| waiting.name = name.clone());
        let rename = (temp_name, name);
        if !report.renamed.contains(&rename) {
            report.renamed.push(rename);
        }
    }
}

/// Returns the effect of a result on its edit.
fn outcome(result: &ItemResult) -> EditOutcome {
    match result.status {
        Status::Ok => EditOutcome::Applied,
        Status::Conflict => EditOutcome::Conflict,
        Status::Error if result.is_retryable() => EditOutcome::Retryable,
        Status::Error => EditOutcome::Failed,
    }
}
