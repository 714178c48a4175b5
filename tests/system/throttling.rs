//! Throttling by DynamoDB: from a given call on, the tables reject all requests for a while. Every
//! route then responds with a time to retry, loses nothing, and succeeds once the throttling has
//! ended. The requests are those of [`isolation`](crate::isolation), each sent by a caller with
//! permission, so that a new route is covered here too.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rstest::rstest;
use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_tests::{ApiResponse, Item, Script, Stack, hooks::Moment};

use crate::isolation::{Ask, IntruderKnowledge, asked_by_owner, asks, tenant};

/// The error codes with which DynamoDB throttles.
const CODES: [&str; 3] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
];

/// Tables that throttle from a given call on, while `is_on` is set.
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

    /// Ends the throttling and returns the number of calls since it began.
    fn stop(&self) -> usize {
        self.is_on.store(false, Ordering::SeqCst);
        self.calls.load(Ordering::SeqCst)
    }

    fn fate(&self, moment: Moment) -> CallFate {
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
        // The throttling of tables does not affect objects.
        Script::new(move |_, operation, _, moment| {
            if operation.ends_with("Object") {
                CallFate::Continue
            } else {
                tables.fate(moment)
            }
        })
    };

    let stack = Stack::hooked(Arc::new(script)).today();
    let known = tenant(&stack).await;
    (tables, stack, known)
}

/// Checks for a 503 with the seconds to wait, or, in a push that was partly applied, for an item
/// that is retryable.
fn assert_requests_retry(response: &ApiResponse, place: &str) {
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
async fn throttled_routes_return_retry_after_then_succeed() {
    let mut throttled = 0;
    for ask in asks() {
        // Counts the calls of the request without throttling.
        let (tables, stack, known) = throttled_tenant().await;
        tables.throttle(usize::MAX);
        let whole = asked_by_owner(&stack, ask, &known).await;
        let calls = tables.stop();
        throttled += calls;

        for from in 0..calls {
            let (tables, stack, known) = throttled_tenant().await;
            tables.throttle(from);
            let place = format!(
                "{} {} throttled from call {from} of {calls}",
                ask.method, ask.route
            );

            let response = asked_by_owner(&stack, ask, &known).await;
            assert!(tables.stop() > from, "{place}: the call is made");
            assert_requests_retry(&response, &place);
            assert_matches(
                &asked_by_owner(&stack, ask, &known).await,
                &whole,
                ask,
                &place,
            );
        }
    }
    assert!(throttled > 20, "{throttled} calls");
}

/// Checks that a response has the same ids, versions and codes as the one without throttling.
fn assert_matches(response: &ApiResponse, whole: &ApiResponse, ask: &Ask, place: &str) {
    assert_eq!(response.status, 200, "{place}: {}", response.text);
    assert!(
        response.text.contains(ask.owner.1),
        "{place}: {}",
        response.text
    );

    let outcomes = |response: &ApiResponse| -> Vec<Value> {
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

    assert_eq!(outcomes(response), outcomes(whole), "{place}");
}

/// DynamoDB returns a part of the items, or none, and names the unprocessed keys. The rest is
/// requested again twice; without an end DynamoDB counts as unavailable.
#[rstest]
#[case::twice(2, 200)]
#[case::without_end(usize::MAX, 503)]
#[tokio::test(start_paused = true)]
async fn unprocessed_keys_are_requested_again(#[case] times: usize, #[case] status: u16) {
    let left = AtomicUsize::new(0);
    let stack = Stack::hooked(Arc::new(Script::new(move |_, operation, body, moment| {
        let is_batch_read = operation == "BatchGetItem"
            && moment == Moment::Before
            && body.contains("\"resources\"");
        if !is_batch_read || left.fetch_add(1, Ordering::SeqCst) >= times {
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
    let create = Item::create("meter", "m", json!({}));
    assert_eq!(
        ana.push_one(create).await["status"],
        "ok",
        "a create does not read its resource"
    );

    let update = Item::update("meter", "m", 1, json!({"reading": 1}));
    let response = ana.send(&json!([update])).await;
    assert_eq!(response.status, status, "{}", response.text);
    assert_eq!(
        stack.rows("resources")[0]["server_version"]["N"],
        if status == 200 { "2" } else { "1" }
    );
    if status == 503 {
        assert_requests_retry(&response, "a push");
    }
}
