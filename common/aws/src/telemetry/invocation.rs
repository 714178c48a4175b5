//! The telemetry of one invocation: all its log lines identify it, the last line states its
//! outcome, and its metrics follow.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use tidemark_core::wire::problem::ProblemCode;
use tracing::{Instrument as _, field::Empty};

use super::METRICS;
use crate::{
    context::Context,
    metrics::{self, Metric},
};

/// The status that is counted separately by the alarm on throttled requests.
const TOO_MANY_REQUESTS: u16 = 429;

/// The identity of an invocation in its log lines.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The short name of the function's crate.
    pub function: &'static str,
    /// The id that the caller received: the gateway's, or Lambda's own id for an invocation without
    /// a gateway.
    pub request_id: &'a str,
    /// Lambda's own id, if `request_id` is the gateway's.
    pub lambda_request_id: Option<&'a str>,
}

/// The outcome of an invocation in its last log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The invocation succeeded with a response.
    Done,
    /// The response is a problem.
    Rejected(ProblemCode),
    /// Stream records were reported in `batchItemFailures` and are redelivered.
    RecordsFailed,
}

impl End {
    /// Returns the outcome of an invocation with stream records.
    pub fn of_records(response: &DynamoDbEventResponse) -> Self {
        if response.batch_item_failures.is_empty() {
            Self::Done
        } else {
            Self::RecordsFailed
        }
    }
}

impl Invocation<'_> {
    /// Runs the work of the invocation in a span. The span has the level `ERROR`, so that it exists
    /// at any log level.
    pub async fn run<T>(self, context: &Context, work: impl Future<Output = (T, End)>) -> T {
        let Self {
            function,
            request_id,
            lambda_request_id,
        } = self;

        let span = tracing::error_span!(
            "invocation",
            function,
            request_id,
            lambda_request_id,
            tenant = Empty,
            user = Empty,
            device_id = Empty
        );
        // Boxed to reduce the nesting depth of futures, which the compiler limits.
        self.measured(context, Box::pin(work))
            .instrument(span)
            .await
    }

    async fn measured<T>(self, context: &Context, work: impl Future<Output = (T, End)>) -> T {
        let meter = &context.meter;
        if context.is_cold() {
            meter.count(Metric::ColdStarts, 1);
        }

        let began = context.clock.now();
        let (response, end) = work.await;
        let now = context.clock.now();
        // The gateway counts all 4xx responses together. This metric excludes 429, so that the rest
        // need not raise an alarm.
        if matches!(end, End::Rejected(code) if (400..500).contains(&code.status()) && code.status() != TOO_MANY_REQUESTS)
        {
            meter.count(Metric::Rejections, 1);
        }

        let (status, code, outcome) = match end {
            End::Done => (200, None, "done"),
            End::Rejected(code) => (code.status(), Some(code_text(code)), "rejected"),
            End::RecordsFailed => (
                ProblemCode::Unavailable.status(),
                None,
                "records will be redelivered",
            ),
        };

        tracing::info!(
            status,
            code,
            duration_ms = (now - began).num_milliseconds(),
            items = meter.value(Metric::PushedItems),
            conflicts = meter.value(Metric::ItemsConflict),
            errors = meter.value(Metric::ItemsError),
            changes = meter
                .value(Metric::PulledChanges)
                .or(meter.value(Metric::SequencedChanges)),
            "{outcome}"
        );

        let values = meter.values();
        if !values.is_empty() {
            let properties = [("function", self.function), ("request_id", self.request_id)];
            let line = metrics::line(&values, &context.settings.stack, now, &properties);
            tracing::info!(target: METRICS, line);
        }
        response
    }
}

/// Returns a code as it is serialized for clients.
fn code_text(code: ProblemCode) -> String {
    serde_json::to_value(code)
        .ok()
        .and_then(|code| Some(code.as_str()?.to_owned()))
        .unwrap_or_default()
}
