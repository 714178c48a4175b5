//! Logs and metrics of a function: JSON lines on standard output, which Lambda stores. A log line
//! consists of a message and fields, identifies the request, and never contains a payload or a
//! token. Metrics are separate lines.

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

/// The target prefix of the crates in this workspace.
const WORKSPACE_PREFIX: &str = "tidemark";
/// The target of metrics. Their event has one field, the line.
const METRICS: &str = "tidemark_metrics";
/// The target with which the runtime logs the content of an event that cannot be decoded. It is
/// disabled; the sender of the event receives the same error.
const EVENT_QUOTING_TARGET: &str = "lambda_runtime::layers::api_response";

/// Starts logging at the level of `RUST_LOG`, or `info` if it is not set or invalid.
pub fn start() {
    let level = std::env::var("RUST_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    subscriber(level, io::stdout).init();
    panic::set_hook(Box::new(log_panic));
}

/// Returns a subscriber that writes events of the workspace's crates at `level` or above, events of
/// other crates at `WARN` or above, and metrics. Other crates do not protect payloads: below
/// `WARN`, the SDK logs whole responses and the runtime logs events.
pub fn subscriber(
    level: LevelFilter,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(EVENT_QUOTING_TARGET, LevelFilter::OFF)
        .with_target(WORKSPACE_PREFIX, level)
        .with_target(METRICS, LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(lines::Lines)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Logs the location of a panic and not its message, which may quote data. A release build aborts
/// after this hook, so the message is lost.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(location, "panicked");
}

/// Adds the caller to all following log lines of the invocation.
pub fn caller(tenant: &str, user: &str) {
    Span::current()
        .record("tenant", tenant)
        .record("user", user);
}

/// Adds the device to all following log lines of the invocation.
pub fn device(device_id: &str) {
    Span::current().record("device_id", device_id);
}
