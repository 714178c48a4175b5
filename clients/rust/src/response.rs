//! The response to a push (docs/protocol.md, *The push loop*, §3).

use crate::{Client, ItemResult, PushResponse, RejectedEdit, ResourceName, Status};

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
#[error("the response has {results} results, the batch {edits} edits: send the batch again")]
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
        if self.may_store_push_token() {
            self.sync_token = Some(response.server_sync_token.clone());
        }
        Ok(report)
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
