//! Tables that throttle: for a while, from any call on, they refuse what is asked of them. Every
//! route then says when to come back, loses nothing, and does what it was asked once they no longer
//! do. (The requests are those of [`isolation`](crate::isolation), each by whoever may; so a new
//! route is throttled here too.)

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_tests::{ApiResponse, Script, Stack, hooks::Moment};

use crate::isolation::{ASKS, Ask, IntruderKnowledge, asked_by_owner, tenant};

/// What DynamoDB calls it, for reasons of its own.
const CODES: [&str; 3] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
];

/// Tables that throttle from a call on, while they are told to.
struct Tables {
    is_on: AtomicBool,
    calls: AtomicUsize,
    from: AtomicUsize,
}

impl Tables {
    fn throttle(&self, from: usize) {
        self.calls.store(0, Ordering::SeqCst);
        self.from.store(from, Ordering::SeqCst);
        self.is_on.store(true, Ordering::SeqCst);
    }

    /// How many calls came since; they no longer throttle.
    fn relent(&self) -> usize {
        self.is_on.store(false, Ordering::SeqCst);
        self.calls.load(Ordering::SeqCst)
    }

    fn verdict(&self, moment: Moment) -> CallFate {
        if moment == Moment::After || !self.is_on.load(Ordering::SeqCst) {
            return CallFate::Continue;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let from = self.from.load(Ordering::SeqCst);
        if call < from {
            return CallFate::Continue;
        }
        CallFate::Reply(Reply::error(400, CODES[from % CODES.len()], "slow down"))
    }
}

async fn throttled_tenant() -> (Arc<Tables>, Stack, IntruderKnowledge) {
    let tables = Arc::new(Tables {
        is_on: AtomicBool::new(false),
        calls: AtomicUsize::new(0),
        from: AtomicUsize::new(usize::MAX),
    });
    let script = {
        let tables = tables.clone();
        // Objects are not throttled by tables.
        Script::new(move |_, operation, _, moment| {
            if operation.ends_with("Object") {
                CallFate::Continue
            } else {
                tables.verdict(moment)
            }
        })
    };
    let stack = Stack::hooked(Arc::new(script)).today();
    let known = tenant(&stack).await;
    (tables, stack, known)
}

/// 503 with the seconds to wait; or of a push, where some of it is done, an item that is to be sent
/// again.
fn assert_asks_to_come_back(response: &ApiResponse, place: &str) {
    if response.status == 200 {
        let body = response.json();
        let results = body["results"].as_array().cloned().unwrap_or_default();
        let waits = |result: &Value| result["code"] == "unavailable" && result["retryable"] == true;
        assert!(results.iter().any(waits), "{place}: {}", response.text);
        return;
    }
    assert_eq!(
        (response.status, &response.json()["code"]),
        (503, &json!("unavailable")),
        "{place}"
    );
    let seconds: u32 = response.headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("whole seconds");
    assert!(seconds > 0, "{place}");
}

#[tokio::test(start_paused = true)]
async fn every_route_says_when_to_come_back_and_does_what_it_was_asked_then() {
    let mut throttled = 0;
    for ask in ASKS {
        // As many calls as it takes unhindered.
        let (tables, stack, known) = throttled_tenant().await;
        tables.throttle(usize::MAX);
        let whole = asked_by_owner(&stack, ask, &known).await;
        let calls = tables.relent();
        throttled += calls;
        for from in 0..calls {
            let (tables, stack, known) = throttled_tenant().await;
            tables.throttle(from);
            let place = format!(
                "{} {} throttled from call {from} of {calls}",
                ask.method, ask.route
            );
            let response = asked_by_owner(&stack, ask, &known).await;
            assert!(tables.relent() > from, "{place}: it makes that call");
            assert_asks_to_come_back(&response, &place);
            assert_is_as(
                &asked_by_owner(&stack, ask, &known).await,
                &whole,
                ask,
                &place,
            );
        }
    }
    assert!(throttled > 20, "{throttled} calls");
}

/// Answered in the same way: what is in it is said by the ids, versions and codes.
fn assert_is_as(response: &ApiResponse, whole: &ApiResponse, ask: &Ask, place: &str) {
    assert_eq!(response.status, 200, "{place}: {}", response.text);
    assert!(
        response.text.contains(ask.owner.1),
        "{place}: {}",
        response.text
    );
    let told = |response: &ApiResponse| -> Vec<Value> {
        let body = response.json();
        let results = body["results"].as_array().cloned().unwrap_or_default();
        results
            .iter()
            .map(|it| {
                json!([
                    it["status"],
                    it["server_id"],
                    it["server_version"],
                    it["conflict_id"],
                    it["code"]
                ])
            })
            .collect()
    };
    assert_eq!(told(response), told(whole), "{place}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_a_throttled_read_leaves_over_are_asked_for_again() {
    // DynamoDB answers a part, or nothing at all, and names the rest. Twice it goes on; without an
    // end it is an outage.
    for (times, status) in [(2, 200), (usize::MAX, 503)] {
        let left = AtomicUsize::new(0);
        let stack = Stack::hooked(Arc::new(Script::new(move |_, operation, body, moment| {
            let is_it = operation == "BatchGetItem"
                && moment == Moment::Before
                && body.contains("\"resources\"");
            if !is_it || left.fetch_add(1, Ordering::SeqCst) >= times {
                return CallFate::Continue;
            }
            let request: Value = serde_json::from_str(body).expect("a request");
            let response = json!({"Responses": {}, "UnprocessedKeys": request["RequestItems"]});
            CallFate::Reply(Reply {
                status: 200,
                body: response.to_string().into_bytes(),
            })
        })));
        let ana = stack.device("ana", "phone");
        let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m"}});
        assert_eq!(
            ana.push_one(item).await["status"],
            "ok",
            "what a create makes is not read"
        );
        let item = json!({"resource_type": "meter", "action": "update", "client_version": 1, "payload": {"id": "m", "reading": 1}});
        let response = ana.send(&json!([item])).await;
        assert_eq!(response.status, status, "{}", response.text);
        assert_eq!(
            stack.rows("resources")[0]["server_version"]["N"],
            if status == 200 { "2" } else { "1" }
        );
        if status == 503 {
            assert_asks_to_come_back(&response, "a push");
        }
    }
}
