//! Holds up a call until a test opens the gate.

use std::sync::atomic::{AtomicBool, Ordering};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tokio::sync::Notify;

/// Holds up the first matching call until the gate is opened, so that other calls go first.
pub struct Gate {
    fits: fn(&Call<'_>) -> bool,
    is_taken: AtomicBool,
    opened: Notify,
}

impl Gate {
    /// Creates a gate for the first call that `fits`.
    pub fn new(fits: fn(&Call<'_>) -> bool) -> Self {
        Self {
            fits,
            is_taken: AtomicBool::new(false),
            opened: Notify::new(),
        }
    }

    /// Waits until a call has reached the gate.
    pub async fn reached(&self) {
        while !self.is_taken.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }

    /// Lets the call at the gate continue.
    pub fn open(&self) {
        self.opened.notify_one();
    }
}

impl Hook for Gate {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            if (self.fits)(call) && !self.is_taken.swap(true, Ordering::SeqCst) {
                self.opened.notified().await;
            }
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}
