//! Follows a script of faults.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};

/// The moment of a call at which a script intervenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the call takes effect.
    Before,
    /// After the call took effect, before the function receives the response.
    After,
}

/// Decides the fate of a call from the number of earlier calls at the same moment, the operation,
/// its body, and the moment.
pub type Decide = dyn FnMut(usize, &str, &str, Moment) -> CallFate + Send;

/// Follows a script that decides the fate of each call, before and after the call takes effect.
pub struct Script {
    calls: AtomicUsize,
    responses: AtomicUsize,
    decide: Mutex<Box<Decide>>,
}

impl Script {
    /// Creates a script that decides by [`Decide`].
    pub fn new(decide: impl FnMut(usize, &str, &str, Moment) -> CallFate + Send + 'static) -> Self {
        Self {
            calls: AtomicUsize::new(0),
            responses: AtomicUsize::new(0),
            decide: Mutex::new(Box::new(decide)),
        }
    }

    /// Creates a script under which the `nth` call hangs at this moment. A function whose future is
    /// dropped then has died there.
    pub fn dying_at(nth: usize, at: Moment) -> Self {
        Self::new(move |call, _, _, moment| {
            if call == nth && moment == at {
                CallFate::Hang
            } else {
                CallFate::Continue
            }
        })
    }

    /// Creates a script under which eventually consistent reads return no rows.
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

    /// Creates a script under which every statement of a batch fails with this error while the
    /// switch is on. Like DynamoDB, it reports the errors within a response of 200.
    pub fn failing_statements(
        code: &'static str,
        message: &'static str,
        is_on: Arc<AtomicBool>,
    ) -> Self {
        Self::new(move |_, operation, body, moment| {
            let is_batch = operation == "BatchExecuteStatement" && moment == Moment::Before;
            if !is_batch || !is_on.load(Ordering::SeqCst) {
                return CallFate::Continue;
            }

            let request: Value = serde_json::from_str(body).unwrap();
            let statements = request["Statements"].as_array().unwrap();
            let error = json!({"Error": {"Code": code, "Message": message}});
            let responses = vec![error; statements.len()];
            CallFate::Reply(Reply {
                status: 200,
                body: json!({"Responses": responses}).to_string().into_bytes(),
            })
        })
    }

    /// Creates a script under which no head of a change log moves: each put of a head fails with
    /// 500.
    pub fn heads_stay() -> Self {
        Self::new(|_, operation, body, moment| match moment {
            Moment::Before if operation == "PutItem" && body.contains(r#"{"S":"head"}"#) => {
                CallFate::Reply(Reply::error(500, "InternalServerError", "out of order"))
            }
            _ => CallFate::Continue,
        })
    }

    /// Returns the number of calls so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn fate(&self, number: usize, call: &Call<'_>, moment: Moment) -> CallFate {
        let body = String::from_utf8_lossy(call.body);
        (self.decide.lock().unwrap())(number, call.operation, &body, moment)
    }
}

impl Hook for Script {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let fate = self.fate(number, call, Moment::Before);
        Box::pin(async move {
            tokio::task::yield_now().await; // lets a concurrent request go first
            fate
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        let number = self.responses.fetch_add(1, Ordering::SeqCst);
        let fate = self.fate(number, call, Moment::After);
        Box::pin(std::future::ready(fate))
    }
}
