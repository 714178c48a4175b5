//! Logs: JSON lines on standard output, which Lambda keeps. A log line is a sentence and fields; never a payload or a token.

use tracing_subscriber::EnvFilter;

/// Starts logging at the level of `RUST_LOG`, `info` if that is not set.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_current_span(false).init();
}
