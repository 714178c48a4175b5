//! Measures the CPU time of this process and of its store (the embedded engine, or SQLite in the
//! baseline), and the peak memory.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};

use crate::process;

/// CPU time and memory that a process has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Total CPU time in seconds.
    pub process_s: f64,
    /// The part of it in seconds that the store used: the engine, or SQLite in the baseline.
    pub store_s: f64,
    /// Peak resident memory in MB; 0 if the system does not report it.
    pub peak_mb: f64,
}

impl Usage {
    /// Returns the usage of this process, with the CPU time that `store` has counted.
    pub fn now(store: &StoreCpu) -> Self {
        let process_s = spent(ClockId::ProcessCPUTime).as_secs_f64();
        Self {
            process_s,
            store_s: store.spent().as_secs_f64(),
            peak_mb: process::peak_mb(std::process::id()).unwrap_or_default(),
        }
    }
}

/// Adds up the CPU time that threads spend in the store. Waiting for its lock uses no CPU time.
#[derive(Debug, Default)]
pub struct StoreCpu(AtomicU64);

impl StoreCpu {
    /// Runs `work` and counts its CPU time.
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = thread_cpu();
        let done = work();
        self.add(thread_cpu().saturating_sub(began));
        done
    }

    /// Returns the CPU time counted so far.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, time: Duration) {
        self.0.fetch_add(
            u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

thread_local! {
    /// CPU time of the thread at the start of its current call. A call does not suspend between its
    /// two hooks, so it remains on its thread.
    static BEGAN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl Hook for StoreCpu {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            BEGAN.set(thread_cpu());
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            self.add(thread_cpu().saturating_sub(BEGAN.get()));
            CallFate::Continue
        })
    }
}

/// Returns the CPU time that this thread has used since its start.
pub fn thread_cpu() -> Duration {
    spent(ClockId::ThreadCPUTime)
}

fn spent(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
