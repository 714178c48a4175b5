//! Batches of stream records: splits a Lambda event of the streams of `resources` or `conflicts` into
//! its records, decodes them one by one, so that a corrupt record does not prevent the others from
//! being processed, and reports the failed records in `batchItemFailures`.

mod decode;

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tidemark_core::model::{json::Json, position::Sequence};

use crate::{
    context::Context,
    telemetry::{End, Invocation},
};

/// A batch of stream records, each still unparsed.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// The records in the order of the stream.
    #[serde(rename = "Records")]
    pub records: Vec<Json>,
}

/// A decoded stream record.
#[derive(Debug)]
pub struct StreamRecord<T> {
    /// The record as it was received.
    pub text: Json,
    /// The content of the record, `None` if it contains nothing to process, or the reason why it
    /// cannot be decoded.
    pub content: Result<Option<T>, String>,
}

impl<T> StreamRecord<T> {
    /// Returns the sequence number of the record, or zero if it cannot be decoded.
    pub fn sequence(&self) -> Sequence {
        sequence_of(&self.text)
    }
}

/// Parses a batch of stream records, handles it, and returns the serialized response.
///
/// # Errors
/// Returns an error if the event is not a batch of records, which no stream sends.
pub async fn response<F>(
    event: LambdaEvent<Json>,
    handle: impl FnOnce(LambdaEvent<StreamEvent>) -> F,
) -> serde_json::Result<Json>
where
    F: Future<Output = DynamoDbEventResponse>,
{
    let LambdaEvent { payload, context } = event;
    let batch: StreamEvent = serde_json::from_str(payload.get())?;
    // Frees megabytes that are not needed after parsing.
    drop(payload);
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    to_raw_value(&Box::pin(handle(LambdaEvent::new(batch, context))).await)
}

/// Serves a batch of stream records: runs the work, which returns the sequence numbers of the failed
/// records, and reports the earliest of them. A failure of the whole batch is a failure of its first
/// record.
pub async fn serve(
    context: &Context,
    function: &'static str,
    lambda_context: &LambdaContext,
    work: impl Future<Output = Vec<Sequence>>,
) -> DynamoDbEventResponse {
    let invocation = Invocation {
        function,
        request_id: &lambda_context.request_id,
        lambda_request_id: None,
    };

    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    let work = Box::pin(work);
    let respond = async {
        let response = batch_item_failures(work.await);
        let end = End::of_records(&response);
        (response, end)
    };
    invocation.run(context, respond).await
}

/// Returns the sequence number of a record, or zero if it cannot be decoded. Zero in
/// `batchItemFailures` makes the stream redeliver the whole batch.
pub fn sequence_of(record: &RawValue) -> Sequence {
    let number = || {
        let record: serde_json::Value = serde_json::from_str(record.get()).ok()?;
        Sequence::parse(record.get("dynamodb")?.get("SequenceNumber")?.as_str()?)
    };
    number().unwrap_or(Sequence::ZERO)
}

/// Returns the response of a function that could not process these records. The stream redelivers
/// from the earliest of them.
pub fn batch_item_failures(failed: impl IntoIterator<Item = Sequence>) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    response
        .batch_item_failures
        .extend(failed.into_iter().min().map(|earliest| {
            let mut failure = DynamoDbBatchItemFailure::default();
            // The stream writes sequence numbers without leading zeros. An invalid number makes the
            // stream redeliver the whole batch.
            failure.item_identifier = Some(earliest.as_str().trim_start_matches('0').to_owned());
            failure
        }));
    response
}
