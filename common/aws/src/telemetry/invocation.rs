//! One invocation of a function: all its lines say which one it is, the last how it ended, and what
//! it measured is told with them.

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use tidemark_core::protocol::problem::ProblemCode;
use tracing::{Instrument as _, field::Empty};

use super::METRICS;
use crate::{
    context::Context,
    metrics::{self, Metric},
};

/// The status that the alarm on throttled requests looks for.
const TOO_MANY_REQUESTS: u16 = 429;

/// Which invocation.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The function, by its crate's short name.
    pub function: &'static str,
    /// The id that the caller was told: the gateway's, or Lambda's own where no gateway stands
    /// before the function.
    pub request_id: &'a str,
    /// Lambda's own id, where the former is the gateway's.
    pub lambda_request_id: Option<&'a str>,
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With what was asked for.
    Done,
    /// With a problem.
    Rejected(ProblemCode),
    /// With stream records that are to be delivered again.
    GaveBack,
}

impl End {
    /// How an invocation with stream records ended.
    pub fn of_records(response: &DynamoDbEventResponse) -> Self {
        if response.batch_item_failures.is_empty() {
            Self::Done
        } else {
            Self::GaveBack
        }
    }
}

impl Invocation<'_> {
    /// Runs the invocation to its end. The span is one of errors, so that it is there at any log
    /// level.
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
        // Boxed, because the compiler counts how deep futures stand in each other.
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
        if matches!(end, End::GaveBack | End::Rejected(ProblemCode::Unavailable)) {
            meter.count(Metric::Outages, 1);
        }
        // The gateway counts all 4xx together: these are those that nobody has to be woken for.
        if matches!(end, End::Rejected(code) if (400..500).contains(&code.status()) && code.status() != TOO_MANY_REQUESTS)
        {
            meter.count(Metric::Rejections, 1);
        }
        let (status, code, said) = match end {
            End::Done => (200, None, "done"),
            End::Rejected(code) => (code.status(), Some(code_text(code)), "refused"),
            End::GaveBack => (
                ProblemCode::Unavailable.status(),
                None,
                "records were given back",
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
            "{said}"
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

/// A code as clients see it.
fn code_text(code: ProblemCode) -> String {
    serde_json::to_value(code)
        .ok()
        .and_then(|code| Some(code.as_str()?.to_owned()))
        .unwrap_or_default()
}
