//! A bound for each route, which its valid requests with the most work stay within. It is compared with what a request carried, and not
//! with a time, so the requests here meet less stored data than those of `bench work` and the bounds hold all the same.

use std::{collections::BTreeSet, sync::Arc};

use tidemark_core::{limits::PAGE_READ_BYTES_MAX, routes::ROUTES, work};
use tidemark_tests::requests::{Case, Observer, Scale, cases};

/// What the requests of a route may cost.
struct Bound {
    route: (&'static str, &'static str),
    /// How often what was carried, packed and unpacked is parsed, written or hashed.
    passes: usize,
    /// Bytes that are unpacked.
    unpacked: usize,
    /// Rows that DynamoDB returns, and objects that are looked up.
    rows: usize,
    /// Calls to DynamoDB and S3.
    calls: usize,
}

/// Bytes that an ordinary request may unpack.
const UNPACKED: usize = 1_000_000;

const BOUNDS: &[Bound] = &[
    Bound { route: ("POST", "sync/push"), passes: 8, unpacked: UNPACKED, rows: 300, calls: 320 },
    Bound { route: ("POST", "sync/pull"), passes: 8, unpacked: PAGE_READ_BYTES_MAX + UNPACKED, rows: 300, calls: 20 },
    Bound { route: ("POST", "sync/ack"), passes: 8, unpacked: 0, rows: 1, calls: 2 },
    Bound { route: ("GET", "sync/limits"), passes: 8, unpacked: 0, rows: 0, calls: 0 },
    Bound { route: ("GET", "devices"), passes: 8, unpacked: UNPACKED, rows: 400, calls: 60 },
    Bound { route: ("GET", "conflicts"), passes: 8, unpacked: UNPACKED, rows: 400, calls: 60 },
    Bound { route: ("GET", "conflicts/{id}"), passes: 8, unpacked: PAGE_READ_BYTES_MAX + UNPACKED, rows: 300, calls: 60 },
    Bound { route: ("POST", "conflicts/{id}/resolve"), passes: 8, unpacked: UNPACKED, rows: 300, calls: 60 },
    Bound { route: ("POST", "media/presign"), passes: 8, unpacked: 0, rows: 0, calls: 0 },
    Bound { route: ("GET", "batches/{id}"), passes: 8, unpacked: 4 * UNPACKED, rows: 30, calls: 10 },
    Bound { route: ("POST", "batches/{id}/replay"), passes: 8, unpacked: 4 * UNPACKED, rows: 300, calls: 60 },
    Bound { route: ("GET", "audit"), passes: 8, unpacked: 6 * UNPACKED, rows: 300, calls: 60 },
    Bound { route: ("GET", "status"), passes: 8, unpacked: 2 * PAGE_READ_BYTES_MAX + UNPACKED, rows: 300, calls: 60 },
];

/// Checks the requests of the route with the most work, those whose number has this remainder.
async fn check(method: &str, path: &str, (part, parts): (usize, usize)) {
    let of_route = |case: &&Case| case.route == (method, path) && case.ordinary.is_some();
    let bound = BOUNDS.iter().find(|bound| bound.route == (method, path)).expect("a bound");
    for case in cases().filter(of_route).skip(part).step_by(parts) {
        within(case, bound).await;
    }
}

async fn within(case: &Case, bound: &Bound) {
    let observer = Arc::new(Observer::default());
    let stack = case.stack(observer.clone());
    let request = (case.prepare)(&stack, Scale::SMALL).await;
    let event = request.event(&stack);
    observer.take();
    work::take();
    let response = request.deliver(&stack, &event).await;
    let (work, traffic) = (work::take(), observer.take());
    let carried = traffic.bytes + request.body.len() + request.check(response);
    let text = work.parsed + work.written + work.hashed;
    let told = format!("{}: {work:?}, {traffic:?}, {carried} bytes carried", case.name);
    assert!(text <= bound.passes * (carried + work.packed + work.unpacked), "too many passes over the text: {told}");
    assert!(work.unpacked <= bound.unpacked, "too much is unpacked: {told}");
    assert!(traffic.rows <= bound.rows, "too many rows are read: {told}");
    assert!(traffic.calls <= bound.calls, "too many calls: {told}");
    println!("{told}");
}

const ALL: (usize, usize) = (0, 1);

#[test]
fn every_route_has_a_bound_and_a_request() {
    let routes: BTreeSet<_> = ROUTES.iter().map(|it| (it.method, it.path.trim_start_matches("/api/v1/mobile/"))).collect();
    assert_eq!(BOUNDS.iter().map(|bound| bound.route).collect::<BTreeSet<_>>(), routes);
    assert_eq!(cases().filter(|case| case.ordinary.is_some()).map(|case| case.route).collect::<BTreeSet<_>>(), routes);
}

#[tokio::test]
async fn push_stays_within_its_bound_0() {
    check("POST", "sync/push", (0, 3)).await;
}

#[tokio::test]
async fn push_stays_within_its_bound_1() {
    check("POST", "sync/push", (1, 3)).await;
}

#[tokio::test]
async fn push_stays_within_its_bound_2() {
    check("POST", "sync/push", (2, 3)).await;
}

#[tokio::test]
async fn pull_stays_within_its_bound() {
    check("POST", "sync/pull", ALL).await;
}

#[tokio::test]
async fn acknowledgement_stays_within_its_bound() {
    check("POST", "sync/ack", ALL).await;
}

#[tokio::test]
async fn limits_stay_within_their_bound() {
    check("GET", "sync/limits", ALL).await;
}

#[tokio::test]
async fn devices_stay_within_their_bound() {
    check("GET", "devices", ALL).await;
}

#[tokio::test]
async fn conflict_list_stays_within_its_bound() {
    check("GET", "conflicts", ALL).await;
}

#[tokio::test]
async fn conflict_stays_within_its_bound() {
    check("GET", "conflicts/{id}", ALL).await;
}

#[tokio::test]
async fn decision_stays_within_its_bound() {
    check("POST", "conflicts/{id}/resolve", ALL).await;
}

#[tokio::test]
async fn presign_stays_within_its_bound() {
    check("POST", "media/presign", ALL).await;
}

#[tokio::test]
async fn batch_stays_within_its_bound() {
    check("GET", "batches/{id}", ALL).await;
}

#[tokio::test]
async fn replay_stays_within_its_bound() {
    check("POST", "batches/{id}/replay", ALL).await;
}

#[tokio::test]
async fn audit_stays_within_its_bound() {
    check("GET", "audit", ALL).await;
}

#[tokio::test]
async fn status_stays_within_its_bound() {
    check("GET", "status", ALL).await;
}
