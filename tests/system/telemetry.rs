//! Tests of what the functions write: log lines, which identify their request and never contain its
//! content, and metrics.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod lines;
mod metric_format;
mod metrics;
mod silence;
mod throttled;

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use serde_json::Value;
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tidemark_aws::telemetry;
use tracing::{Dispatch, Subscriber, level_filters::LevelFilter, subscriber::DefaultGuard};

/// Captures what the functions of this thread write while a guard lives, through the subscriber of
/// a deployment.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Starts to capture at a log level.
    fn at(level: LevelFilter) -> (Self, DefaultGuard) {
        let written = Self::default();
        let guard = subscribe(telemetry::subscriber(level, written.writer()));
        (written, guard)
    }

    fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let written = self.clone();
        move || written.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Parses every line as a JSON object.
    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Returns the log lines.
    fn logs(&self) -> Vec<Value> {
        self.lines()
            .into_iter()
            .filter(|line| line.get("_aws").is_none())
            .collect()
    }

    /// Returns the lines with metrics.
    fn metrics(&self) -> Vec<Value> {
        self.lines()
            .into_iter()
            .filter(|line| line.get("_aws").is_some())
            .collect()
    }

    /// Takes what was captured until now.
    fn take(&self) -> Self {
        Self(Arc::new(Mutex::new(std::mem::take(
            &mut *self.0.lock().unwrap(),
        ))))
    }
}

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends the events of this thread to `subscriber` until the guard is dropped.
///
/// If a process has a single subscriber, `tracing` asks the first thread that reaches a callsite
/// whether it is enabled, and caches the result for all threads. Most tests have no subscriber. If
/// there are two, `tracing` asks both.
fn subscribe(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(telemetry::subscriber(LevelFilter::TRACE, io::sink)));
    LazyLock::force(&SECOND);
    tracing::subscriber::set_default(subscriber)
}

/// A hook that gives the same reply to all calls that fit.
struct Responder {
    reply: Reply,
    fits: fn(&Call<'_>) -> bool,
}

impl Responder {
    /// Replies to every call.
    fn all(reply: Reply) -> Arc<Self> {
        Arc::new(Self {
            reply,
            fits: |_| true,
        })
    }

    /// Replies to transactions only.
    fn transactions(reply: Reply) -> Arc<Self> {
        Arc::new(Self {
            reply,
            fits: |call| call.operation == "TransactWriteItems",
        })
    }

    /// Replies to `PutItem` calls only.
    fn puts(reply: Reply) -> Arc<Self> {
        Arc::new(Self {
            reply,
            fits: |call| call.operation == "PutItem",
        })
    }
}

impl Hook for Responder {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let verdict = if (self.fits)(call) {
            CallFate::Reply(self.reply.clone())
        } else {
            CallFate::Continue
        };
        Box::pin(std::future::ready(verdict))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}
