//! Measures one request on one thread.

use std::{sync::Arc, time::Duration};

use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tidemark_core::model::work::{self, Work};
use tidemark_tests::requests::{Case, NestedHooks, Scale, Traffic, TrafficCounter};

use crate::cpu::{StoreCpu, thread_cpu};

/// Number of repetitions of a read-only request. The fastest one counts.
const REPETITIONS: usize = 3;

/// The resources that a request used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// CPU time of the function, without the engine.
    pub cpu: Duration,
    /// Work counters of the function.
    pub work: Work,
    /// Traffic of its calls to DynamoDB and S3.
    pub traffic: Traffic,
    /// Bytes of the request body and the response.
    pub exchanged: usize,
}

impl Spent {
    /// Returns the bytes of the request, its response and its calls.
    pub fn carried(&self) -> usize {
        self.exchanged + self.traffic.bytes
    }

    /// Returns the CPU time in nanoseconds per carried byte.
    pub fn ns_per_byte(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.carried().max(1) as f64
    }
}

/// Prepares a case and measures its request. A read-only request is repeated, and the fastest
/// repetition counts.
pub(super) async fn spent(case: &Case, scale: Scale) -> Spent {
    let (store, observer) = (
        Arc::new(StoreCpu::default()),
        Arc::new(TrafficCounter::default()),
    );

    // The CPU time of the observer is counted as part of the engine's.
    let hook = NestedHooks(
        store.clone(),
        Arc::new(NestedHooks(observer.clone(), Arc::new(NoUploads))),
    );
    let stack = case.stack(Arc::new(hook));

    let request = (case.prepare)(&stack, scale).await;
    let is_read = request.method == "GET" || request.path == "sync/pull";
    let mut fastest: Option<Spent> = None;

    for _ in 0..if is_read { REPETITIONS } else { 1 } {
        let event = request.event(&stack);
        observer.take();
        work::take();

        let (before, store_before) = (thread_cpu(), store.spent());
        let response = request.deliver(&stack, &event).await;
        let all = thread_cpu().saturating_sub(before);
        let cpu = all.saturating_sub(store.spent() - store_before);
        let (work, traffic) = (work::take(), observer.take());
        let exchanged = request.body.len() + request.check(response);

        let spent = Spent {
            cpu,
            work,
            traffic,
            exchanged,
        };
        fastest = fastest.filter(|fastest| fastest.cpu <= cpu).or(Some(spent));
    }
    fastest.unwrap_or_default()
}

/// Responds to lookups of uploads with 404. The local object store runs on other threads, whose CPU
/// time could not be separated.
struct NoUploads;

impl Hook for NoUploads {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let verdict = match call.operation {
            "HeadObject" => CallFate::Reply(Reply {
                status: 404,
                body: Vec::new(),
            }),
            _ => CallFate::Continue,
        };
        Box::pin(std::future::ready(verdict))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}
