//! Notify: the stream of `conflicts` → one message for each decided conflict (§5.5).
//!
//! Every decision writes its conflict's row, also one that makes no resource; so no decision is
//! missed, and none is told that did not take effect. It is a function of its own, so that an
//! outage of SNS never holds up the change log. A message comes at least once: what follows a
//! record that failed comes again with it.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;
use tidemark_aws::{
    Context, Deadline,
    metrics::Metric,
    notifications::{Notifications, PublishOutcome},
    stream::{StreamEvent, dead_letter, given_back, read_decision, sequence_of},
    telemetry::{End, Invocation},
};
use tidemark_core::sequence::position::Sequence;

/// Tells of the conflicts that a batch of stream records decided, in turn. Without a topic it tells
/// nobody.
///
/// It stops at the first record that could be neither told nor set aside: the stream delivers again
/// from there, so that what was told before is not told again.
///
/// # Errors
/// None: what fails is given back.
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
        let response = tell_all(context, &event.payload, deadline).await;
        let end = End::of_records(&response);
        (Ok(response), end)
    };
    invocation.run(context, work).await
}

async fn tell_all(
    context: &Context,
    event: &StreamEvent,
    deadline: Deadline,
) -> DynamoDbEventResponse {
    let Some(topic) = &context.notifications else {
        return given_back(None);
    };
    for record in &event.records {
        // Boxed, because the compiler counts how deep futures stand in each other.
        let told = Box::pin(deadline.bound(async { Ok(tell(context, topic, record).await) }));
        if let Err(failed) = told.await.unwrap_or_else(|_| Err(sequence_of(record))) {
            return given_back([failed]);
        }
    }
    given_back(None)
}

/// Tells of what a record decided, if anything. What can never be told is set aside.
async fn tell(context: &Context, topic: &Notifications, record: &RawValue) -> Result<(), Sequence> {
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
            tracing::error!(%failure, conflict_id = resolved.conflict_id, tenant = resolved.tenant, "a decision could not be told");
            Err(sequence_of(record))
        }
    }
}
