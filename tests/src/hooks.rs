//! Hooks on the calls of a stack's functions: one that counts, and one that follows a script of
//! faults.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tokio::sync::Notify;

/// How long a metered call takes in virtual time, so that the time a request takes says how many
/// calls it made one after another.
pub const ROUND_TRIP: Duration = Duration::from_millis(10);

/// Counts calls and the units DynamoDB charged for them.
#[derive(Debug, Default)]
pub struct Meter {
    counted: Mutex<CallCounts>,
}

/// What was counted.
#[derive(Debug, Default, Clone)]
pub struct CallCounts {
    /// Calls by operation.
    pub calls: BTreeMap<String, usize>,
    /// Write units by table.
    pub write_units: BTreeMap<String, f64>,
    /// Read units by table.
    pub read_units: BTreeMap<String, f64>,
}

impl Meter {
    /// What was counted since the last time.
    pub fn take(&self) -> CallCounts {
        std::mem::take(&mut self.counted.lock().unwrap())
    }

    fn count(&self, call: &Call<'_>, reply: &Reply) {
        let response: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let mut counted = self.counted.lock().unwrap();
        *counted.calls.entry(call.operation.to_owned()).or_default() += 1;
        let is_read = matches!(call.operation, "GetItem" | "BatchGetItem" | "Query");
        let consumed = match &response["ConsumedCapacity"] {
            Value::Array(tables) => tables.clone(),
            Value::Null => Vec::new(),
            table => vec![table.clone()],
        };
        for table in consumed {
            let name = table["TableName"].as_str().unwrap_or_default().to_owned();
            let units = if is_read {
                &mut counted.read_units
            } else {
                &mut counted.write_units
            };
            *units.entry(name).or_default() += table["CapacityUnits"].as_f64().unwrap_or_default();
        }
    }
}

impl Hook for Meter {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            tokio::time::sleep(ROUND_TRIP).await;
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        self.count(call, reply);
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

/// Holds up the first call that fits until it is opened, so that others go first.
pub struct Gate {
    fits: fn(&Call<'_>) -> bool,
    is_taken: AtomicBool,
    opened: Notify,
}

impl Gate {
    /// A gate for the first call that `fits`.
    pub fn new(fits: fn(&Call<'_>) -> bool) -> Self {
        Self {
            fits,
            is_taken: AtomicBool::new(false),
            opened: Notify::new(),
        }
    }

    /// Waits until a call stands before the gate.
    pub async fn reached(&self) {
        while !self.is_taken.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }

    /// Lets it go on.
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

/// Where in a call a script steps in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the table sees it.
    Before,
    /// After it took effect, before the function hears of it.
    After,
}

/// What a script decides by: how many calls came to that moment before, the operation, its body,
/// and the moment.
pub type Decide = dyn FnMut(usize, &str, &str, Moment) -> CallFate + Send;

/// Follows a script: for each call, before and after, what becomes of it.
pub struct Script {
    calls: AtomicUsize,
    responses: AtomicUsize,
    decide: Mutex<Box<Decide>>,
}

impl Script {
    /// A script that decides by [`Decide`].
    pub fn new(decide: impl FnMut(usize, &str, &str, Moment) -> CallFate + Send + 'static) -> Self {
        Self {
            calls: AtomicUsize::new(0),
            responses: AtomicUsize::new(0),
            decide: Mutex::new(Box::new(decide)),
        }
    }

    /// A function that hangs at its `nth` call, at that moment: dropped there, it has died there.
    pub fn dying_at(nth: usize, at: Moment) -> Self {
        Self::new(move |call, _, _, moment| {
            if call == nth && moment == at {
                CallFate::Hang
            } else {
                CallFate::Continue
            }
        })
    }

    /// Every read that need not be consistent shows rows as not there yet.
    pub fn stale() -> Self {
        Self::new(|_, operation, body, moment| {
            let is_stale = operation == "BatchGetItem"
                && moment == Moment::Before
                && body.contains(r#""ConsistentRead":false"#);
            let nothing = || Reply {
                status: 200,
                body: br#"{"Responses":{}}"#.to_vec(),
            };
            if is_stale {
                CallFate::Reply(nothing())
            } else {
                CallFate::Continue
            }
        })
    }

    /// No head of a change log moves: its table is out of order whenever one is put.
    pub fn heads_stay() -> Self {
        Self::new(|_, operation, body, moment| match moment {
            Moment::Before if operation == "PutItem" && body.contains(r#"{"S":"head"}"#) => {
                CallFate::Reply(Reply::error(500, "InternalServerError", "out of order"))
            }
            _ => CallFate::Continue,
        })
    }

    /// How many calls were made.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn verdict(&self, number: usize, call: &Call<'_>, moment: Moment) -> CallFate {
        let body = String::from_utf8_lossy(call.body);
        (self.decide.lock().unwrap())(number, call.operation, &body, moment)
    }
}

impl Hook for Script {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let verdict = self.verdict(number, call, Moment::Before);
        Box::pin(async move {
            tokio::task::yield_now().await; // lets a rival go first
            verdict
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        let number = self.responses.fetch_add(1, Ordering::SeqCst);
        let verdict = self.verdict(number, call, Moment::After);
        Box::pin(std::future::ready(verdict))
    }
}
