//! What a function says on standard output, which Lambda keeps: JSON lines. A log line is a
//! sentence and fields, and says whose request it belongs to; never a payload or a token. Metrics
//! are lines of their own among them.

mod invocation;
mod lines;

use std::{io, panic};

use tracing::{Span, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{MakeWriter, format::JsonFields},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub use invocation::{End, Invocation};

/// How the targets of our own crates begin.
const OURS: &str = "tidemark";
/// The target of metrics; their event has one field, the line.
const METRICS: &str = "tidemark_metrics";
/// Where the runtime says of an event that does not read what stands in it. Whoever sent the event
/// is answered the same.
const QUOTES_EVENTS: &str = "lambda_runtime::layers::api_response";

/// Starts logging at the level of `RUST_LOG`, `info` if that is not set or no level.
pub fn start() {
    let level = std::env::var("RUST_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    subscriber(level, io::stdout).init();
    panic::set_hook(Box::new(log_panic));
}

/// Writes what our own crates say at `level` or above, what others say if it is a warning or worse,
/// and metrics. Others know of no payloads that must not be logged: below a warning, the SDK logs
/// answers whole, and the runtime events.
pub fn subscriber(
    level: LevelFilter,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(QUOTES_EVENTS, LevelFilter::OFF)
        .with_target(OURS, level)
        .with_target(METRICS, LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(lines::Lines)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Says where, and not what: a panic's message may quote what it was about. Release builds end
/// here: the message is lost with the process.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(location, "panicked");
}

/// Notes for the lines to come who calls.
pub fn caller(tenant: &str, user: &str) {
    Span::current()
        .record("tenant", tenant)
        .record("user", user);
}

/// Notes for the lines to come which device it is about.
pub fn device(device_id: &str) {
    Span::current().record("device_id", device_id);
}
