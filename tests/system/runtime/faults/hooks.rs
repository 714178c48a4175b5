//! Hooks that keep calls of a function waiting.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tidemark_tests::hooks::Moment;
use tokio::sync::Notify;

/// Whether a call fits, by its number, its operation and the moment.
type Fits = dyn Fn(usize, &str, Moment) -> bool + Send + Sync;

/// A hook that keeps one call of a function waiting forever and notifies the test when it does.
pub(super) struct Hold {
    fits: Box<Fits>,
    calls: AtomicUsize,
    responses: AtomicUsize,
    /// Notified when the call waits.
    pub(super) held: Notify,
}

impl Hold {
    /// Holds the call that fits.
    pub(super) fn that(
        fits: impl Fn(usize, &str, Moment) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (calls, responses) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            fits: Box::new(fits),
            calls,
            responses,
            held: Notify::new(),
        })
    }

    /// Holds the call that writes the meter and its unique code, after it has taken effect.
    pub(super) fn committed() -> Arc<Self> {
        Self::that(|_, operation, at| operation == "TransactWriteItems" && at == Moment::After)
    }

    fn verdict(
        &self,
        count: &AtomicUsize,
        call: &Call<'_>,
        moment: Moment,
    ) -> BoxFuture<'_, CallFate> {
        let is_it = (self.fits)(count.fetch_add(1, Ordering::SeqCst), call.operation, moment);
        if is_it {
            self.held.notify_one();
        }
        Box::pin(std::future::ready(if is_it {
            CallFate::Hang
        } else {
            CallFate::Continue
        }))
    }
}

impl Hook for Hold {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        self.verdict(&self.calls, call, Moment::Before)
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        self.verdict(&self.responses, call, Moment::After)
    }
}

/// A hook that replies to no call.
pub(super) struct Outage;

impl Hook for Outage {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Hang))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Hang))
    }
}

/// A hook that lets the first attempt of each call hang for the time of an attempt, and delays the
/// next one.
#[derive(Default)]
pub(super) struct SlowFirstAttempt(Mutex<BTreeSet<(String, Vec<u8>)>>);

impl Hook for SlowFirstAttempt {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let is_first = self
            .0
            .lock()
            .unwrap()
            .insert((call.operation.to_owned(), call.body.to_vec()));
        Box::pin(async move {
            if is_first {
                return CallFate::Hang;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}
