//! Notify: publishes one message per resolved conflict, from the stream of `conflicts` (§5.5).
//!
//! Every resolution writes the row of its conflict, even if it changes no resource. Therefore no
//! resolution is missed, and none is published that did not take effect. It is a separate function,
//! so that an unavailable SNS never delays the change log. Messages are delivered at least once:
//! the records after a failed record are redelivered with it.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;
use tidemark_aws::{
    Context, Deadline,
    metrics::Metric,
    notifications::{Notifications, PublishOutcome},
    stream::{StreamEvent, batch_item_failures, dead_letter, read_decision, sequence_of},
    telemetry::{End, Invocation},
};
use tidemark_core::model::position::Sequence;

/// Publishes the resolutions in a batch of stream records, in order. Publishes nothing if the
/// deployment has no topic.
///
/// Stops at the first record that can be neither published nor dead-lettered. The stream redelivers
/// from that record, so earlier messages are not published again.
///
/// # Errors
/// Returns no error. Failed records are reported in `batchItemFailures`.
pub async fn handle(
    context: &Context,
    event: LambdaEvent<StreamEvent>,
) -> Result<DynamoDbEventResponse, lambda_runtime::Error> {
    let context = &context.for_invocation();
    let invocation = Invocation {
        function: "notify",
        request_id: &event.context.request_id,
        lambda_request_id: None,
    };
    let deadline = Deadline::of(Some(&event.context), &context.clock);

    let work = async {
        let response = publish_all(context, &event.payload, deadline).await;
        let end = End::of_records(&response);
        (Ok(response), end)
    };

    invocation.run(context, work).await
}

async fn publish_all(
    context: &Context,
    event: &StreamEvent,
    deadline: Deadline,
) -> DynamoDbEventResponse {
    let Some(topic) = &context.notifications else {
        return batch_item_failures(None);
    };

    for record in &event.records {
        // Boxed to reduce the nesting depth of futures, which the compiler limits.
        let published =
            Box::pin(deadline.bound(async { Ok(publish_record(context, topic, record).await) }));
        if let Err(failed) = published.await.unwrap_or_else(|_| Err(sequence_of(record))) {
            return batch_item_failures([failed]);
        }
    }
    batch_item_failures(None)
}

/// Publishes the resolution in a record, if there is one. Dead-letters a record that can never be
/// published.
async fn publish_record(
    context: &Context,
    topic: &Notifications,
    record: &RawValue,
) -> Result<(), Sequence> {
    let resolved = match read_decision(record) {
        Ok(Some(resolved)) => resolved,
        Ok(None) => return Ok(()),
        Err(reason) => return dead_letter(context, record, &reason).await,
    };

    match topic.publish(&resolved).await {
        Ok(PublishOutcome::Done) => {
            context.meter.count(Metric::Notifications, 1);
            Ok(())
        }
        Ok(PublishOutcome::Rejected(reason)) => dead_letter(context, record, &reason).await,
        Err(failure) => {
            tracing::error!(%failure, conflict_id = resolved.conflict_id, tenant = resolved.tenant, "resolution could not be published");
            Err(sequence_of(record))
        }
    }
}
