//! Notify: publishes one message per resolved conflict, from the stream of `conflicts` (§5.5). It is
//! a separate function, so that an unavailable SNS never delays the change log.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use lambda_runtime::LambdaEvent;
use tidemark_app::notify;
use tidemark_aws::{
    Context, Deadline,
    dead_letters::DeadLetters,
    notifications::Notifications,
    stream::{self, StreamEvent, StreamRecord},
};

/// Publishes the resolutions in a batch of stream records, in order. `topic` is `None` in a
/// deployment without a topic, which publishes nothing. Reports the first record that could be
/// neither published nor dead-lettered, from which the stream redelivers.
pub async fn handle(
    context: &Context,
    dead_letters: &DeadLetters,
    topic: Option<&Notifications>,
    event: LambdaEvent<StreamEvent>,
) -> DynamoDbEventResponse {
    let context = &context.for_invocation();
    let deadline = Deadline::of(Some(&event.context), &context.clock);
    let records = event
        .payload
        .records
        .into_iter()
        .map(StreamRecord::resolution);
    let work = notify::publish(context, dead_letters, topic, records, deadline);
    stream::serve(context, "notify", &event.context, work).await
}
