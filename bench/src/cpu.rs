//! How much processor time was used: by this process, and by the calls of its functions to the
//! embedded engine.

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

/// What a process has used since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds of processor time, all of it.
    pub process_s: f64,
    /// Seconds of it that went into the store: the engine, or SQLite in the floor.
    pub store_s: f64,
    /// Resident memory in MB, when it was largest; 0 where the system does not tell.
    pub peak_mb: f64,
}

impl Usage {
    /// What this process has used, of which `store` went into the store.
    pub fn now(store: &StoreCpu) -> Self {
        let process_s = spent(ClockId::ProcessCPUTime).as_secs_f64();
        Self {
            process_s,
            store_s: store.spent().as_secs_f64(),
            peak_mb: process::peak_mb(std::process::id()).unwrap_or_default(),
        }
    }
}

/// Adds up the processor time that threads spend in the store. Waiting for its lock is none.
#[derive(Debug, Default)]
pub struct StoreCpu(AtomicU64);

impl StoreCpu {
    /// Does the work and counts its time.
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = thread_cpu();
        let done = work();
        self.add(thread_cpu().saturating_sub(began));
        done
    }

    /// All of it until now.
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
    /// When the call began that this thread is making. A call never waits between its two hooks, so
    /// it stays on its thread.
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

/// What this thread has used since it began.
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
