//! What the functions write: log lines that say whose request they belong to and never what was in
//! it, and metrics.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod lines;
mod metrics;
mod silence;
mod throttled;

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use serde_json::{Value, json};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tidemark_aws::telemetry;
use tracing::{Dispatch, Subscriber, level_filters::LevelFilter, subscriber::DefaultGuard};

/// What is written while a guard lives: all that the functions of this thread say, through the
/// subscriber that they have when deployed.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// What is written from here on at a log level.
    fn at(level: LevelFilter) -> (Self, DefaultGuard) {
        let written = Self::default();
        let guard = hear(telemetry::subscriber(level, written.writer()));
        (written, guard)
    }

    fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let written = self.clone();
        move || written.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Every line, which is one JSON object.
    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The log lines.
    fn logs(&self) -> Vec<Value> {
        self.lines()
            .into_iter()
            .filter(|line| line.get("_aws").is_none())
            .collect()
    }

    /// The lines with metrics.
    fn metrics(&self) -> Vec<Value> {
        self.lines()
            .into_iter()
            .filter(|line| line.get("_aws").is_some())
            .collect()
    }

    /// What was written until now, which is forgotten.
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

/// What this thread says goes to `subscriber` until the guard is dropped.
///
/// Where a process has a single subscriber, `tracing` asks the first thread that comes to a line of
/// the code whether anyone listens there, and keeps the answer for all threads; most tests have
/// nobody who listens. With two it asks both.
fn hear(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(telemetry::subscriber(LevelFilter::TRACE, io::sink)));
    LazyLock::force(&SECOND);
    tracing::subscriber::set_default(subscriber)
}

/// Answers the calls that fit with always the same.
struct Responder {
    reply: Reply,
    fits: fn(&Call<'_>) -> bool,
}

impl Responder {
    /// Answers every call.
    fn all(reply: Reply) -> Arc<Self> {
        Arc::new(Self {
            reply,
            fits: |_| true,
        })
    }

    /// Answers transactions only.
    fn transactions(reply: Reply) -> Arc<Self> {
        Arc::new(Self {
            reply,
            fits: |call| call.operation == "TransactWriteItems",
        })
    }

    /// Answers what is put into the tables only.
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

/// An item about the meter `id`.
fn meter(action: &str, id: &str, base: u64, fields: Value) -> Value {
    let mut payload = fields;
    payload["id"] = id.into();
    json!({"resource_type": "meter", "action": action, "client_version": base, "base_version": base, "payload": payload})
}
