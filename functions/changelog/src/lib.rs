//! Changelog, the sequencer: appends a batch of stream records to the change logs. Operators also
//! invoke it with a repair request, which appends changes that the stream lost.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::LambdaEvent;
use tidemark_app::{repair, sequence};
use tidemark_aws::{
    Context, Deadline, Error,
    dead_letters::DeadLetters,
    entry::Event,
    http,
    stream::{self, StreamEvent, StreamRecord},
};
use tidemark_core::{
    model::json::Json,
    wire::repair::{RepairEvent, RepairResponse},
};

/// The name of the function in logs.
const NAME: &str = "changelog";

/// Handles any event of the function: a batch of stream records, or otherwise an operator's
/// request.
///
/// # Errors
/// Returns an error if a batch cannot be decoded, which no stream sends. A rejected request is no
/// error: the response is its problem.
pub async fn invoked(
    context: &Context,
    dead_letters: &DeadLetters,
    event: LambdaEvent<Json>,
) -> Result<Json, lambda_runtime::Error> {
    match Event::of(event) {
        Event::Stream(event) => {
            Ok(stream::response(event, |batch| handle(context, dead_letters, batch)).await?)
        }
        Event::Api(event) | Event::Direct(event) => {
            let context = &context.for_invocation();
            let response = direct(context, &event.payload);
            Ok(http::direct(context, NAME, &event.context, response).await?)
        }
    }
}

/// Sequences a batch of stream records. Reports the earliest record that could not be sequenced,
/// from which the stream redelivers.
pub async fn handle(
    context: &Context,
    dead_letters: &DeadLetters,
    event: LambdaEvent<StreamEvent>,
) -> DynamoDbEventResponse {
    let context = &context.for_invocation();
    let deadline = Deadline::of(Some(&event.context), &context.clock);
    let records = event.payload.records.into_iter().map(StreamRecord::change);
    let work = sequence::sequence(context, dead_letters, records, deadline);
    stream::serve(context, NAME, &event.context, work).await
}

/// Repairs the change logs as the event of a direct invocation states. IAM controls who may invoke
/// the function.
async fn direct(context: &Context, event: &Json) -> Result<RepairResponse, Error> {
    let request = RepairEvent::read(event)?.repair;
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    Box::pin(repair::repair(context, &request)).await
}
