//! A limit for each route that its most expensive valid requests must obey. The limit is relative
//! to the bytes that a request carries, and is not a time. So it also holds for these requests,
//! which meet less stored data than the requests of `bench work`.

use std::{collections::BTreeSet, sync::Arc};

use tidemark_core::{
    model::{
        limits::{
            BATCH_ITEMS_MAX, BODY_BYTES_MAX, BULK_BYTES_MAX, PAGE_READ_BYTES_MAX,
            PAYLOAD_BYTES_MAX, RESPONSE_BYTES_MAX, SEGMENT_BYTES_MAX, STATUS_BYTES_MAX,
        },
        work,
    },
    wire::routes::ROUTES,
};
use tidemark_tests::requests::{Case, LARGE_BYTES, Scale, TrafficCounter, cases};

/// The limits for the requests of a route.
struct RouteLimit {
    route: (&'static str, &'static str),
    /// How often the carried, packed and unpacked bytes may be parsed, written or hashed.
    passes: usize,
    /// Additional bytes that are parsed, written or hashed: digests of names, a cursor.
    extra: usize,
    /// Bytes that are unpacked.
    unpacked: usize,
    /// Rows that DynamoDB returns, and objects that are looked up.
    rows: usize,
    /// Calls to DynamoDB and S3.
    calls: usize,
}

/// The limits of a route that does no work beyond what its requests carry.
const NONE: RouteLimit = RouteLimit {
    route: ("", ""),
    passes: 0,
    extra: 0,
    unpacked: 0,
    rows: 0,
    calls: 0,
};
const SMALL: usize = 40_000;
/// The passes over the response to a GET request that make its entity tag.
const TAG: usize = 1;
/// The text of the largest batch and of its results, in bytes.
const BATCH: usize = 2 * BODY_BYTES_MAX;
/// The part of the log that is read to determine whether a change was delivered, or for a page, in
/// bytes.
const LOG: usize = PAGE_READ_BYTES_MAX + SEGMENT_BYTES_MAX;
/// The edits of the largest conflict here, in bytes.
const CONFLICT: usize = (Scale::SMALL.edits + 2) * PAYLOAD_BYTES_MAX;

const BOUNDS: &[RouteLimit] = &[
    RouteLimit {
        route: ("POST", "sync/push"),
        passes: 8,
        extra: 0,
        unpacked: BATCH,
        rows: 520,
        calls: 520,
    },
    RouteLimit {
        route: ("POST", "sync/pull"),
        extra: SMALL,
        unpacked: LOG,
        rows: 120,
        calls: 16,
        ..NONE
    },
    RouteLimit {
        route: ("POST", "sync/ack"),
        extra: SMALL,
        rows: 1,
        calls: 1,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "sync/limits"),
        passes: TAG,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "me"),
        passes: TAG,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "devices"),
        passes: TAG,
        extra: SMALL,
        rows: 60,
        calls: 20,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "conflicts"),
        passes: TAG,
        extra: SMALL,
        unpacked: 1_000_000,
        rows: 200,
        calls: 22,
    },
    RouteLimit {
        route: ("GET", "conflicts/summary"),
        passes: TAG,
        extra: SMALL,
        rows: 50,
        calls: 9,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "conflicts/{id}"),
        passes: TAG + 1,
        extra: SMALL,
        unpacked: LOG,
        rows: 100,
        calls: 12,
    },
    RouteLimit {
        route: ("POST", "conflicts/{id}/resolve"),
        passes: 3,
        unpacked: CONFLICT,
        rows: 20,
        calls: 6,
        ..NONE
    },
    RouteLimit {
        route: ("POST", "conflicts/resolve"),
        passes: 3,
        extra: SMALL,
        unpacked: BULK_BYTES_MAX + CONFLICT,
        rows: 150,
        calls: 150,
    },
    RouteLimit {
        route: ("POST", "media/presign"),
        ..NONE
    },
    RouteLimit {
        route: ("GET", "batches/{id}"),
        passes: 4 + TAG,
        unpacked: BATCH,
        rows: 6,
        calls: 6,
        ..NONE
    },
    RouteLimit {
        route: ("POST", "batches/{id}/replay"),
        passes: 8,
        unpacked: BATCH,
        rows: 60,
        calls: 12,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "batches"),
        passes: TAG,
        extra: SMALL,
        rows: 100,
        calls: 14,
        ..NONE
    },
    RouteLimit {
        route: ("POST", "batches/replay"),
        passes: 8,
        unpacked: BULK_BYTES_MAX + BATCH,
        rows: 250,
        calls: 60,
        ..NONE
    },
    RouteLimit {
        route: ("POST", "batches/{id}/items/{index}/correct"),
        passes: 8,
        unpacked: BATCH,
        rows: 20,
        calls: 12,
        ..NONE
    },
    RouteLimit {
        route: ("GET", "audit"),
        passes: TAG,
        extra: SMALL,
        unpacked: RESPONSE_BYTES_MAX + 2 * PAYLOAD_BYTES_MAX,
        rows: 60,
        calls: 10,
    },
    RouteLimit {
        route: ("GET", "status"),
        passes: TAG,
        extra: SMALL,
        unpacked: STATUS_BYTES_MAX + SEGMENT_BYTES_MAX,
        rows: 100,
        calls: 8,
    },
];

/// Returns the bytes that are parsed, written or hashed in addition: payloads are written for
/// results, which omit superseded ones only afterwards, and for each resolution by a policy.
fn rewritten(case: &Case) -> usize {
    match case.name {
        "50 nested patches, merged onto an older base (field_merge)" => 2 * RESPONSE_BYTES_MAX,
        "50 updates of 500 fields, merged onto an older base" => 2 * RESPONSE_BYTES_MAX,
        "50 nested patches, client_wins" => 2 * BATCH_ITEMS_MAX * LARGE_BYTES,
        "50 updates of a resource with a large unique value" => 6 * BATCH_ITEMS_MAX * LARGE_BYTES,
        _ => 0,
    }
}

/// Checks the most expensive requests of the route whose index has the remainder `part` modulo
/// `parts`.
async fn check(method: &str, path: &str, (part, parts): (usize, usize)) {
    let of_route = |case: &&Case| case.route == (method, path) && case.ordinary.is_some();
    let bound = BOUNDS
        .iter()
        .find(|bound| bound.route == (method, path))
        .expect("a bound");
    for case in cases().filter(of_route).skip(part).step_by(parts) {
        within(case, bound).await;
    }
}

async fn within(case: &Case, bound: &RouteLimit) {
    let observer = Arc::new(TrafficCounter::default());
    let stack = case.stack(observer.clone());
    let request = (case.prepare)(&stack, Scale::SMALL).await;
    let event = request.event(&stack);
    observer.take();
    work::take();
    let response = request.deliver(&stack, &event).await;

    let (work, traffic) = (work::take(), observer.take());
    let carried = traffic.bytes + request.body.len() + request.check(response);
    let text = work.parsed + work.written + work.hashed;
    let context = format!(
        "{}: {work:?}, {traffic:?}, {carried} bytes carried",
        case.name
    );

    let text_max =
        bound.extra + rewritten(case) + bound.passes * (carried + work.packed + work.unpacked);
    assert!(text <= text_max, "too many passes over the text: {context}");
    assert!(
        work.unpacked <= bound.unpacked,
        "too much is unpacked: {context}"
    );
    assert!(
        traffic.rows <= bound.rows,
        "too many rows are read: {context}"
    );
    assert!(traffic.calls <= bound.calls, "too many calls: {context}");
}

const ALL: (usize, usize) = (0, 1);

#[test]
fn every_route_has_bound_and_request() {
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|it| (it.method, it.path.trim_start_matches("/api/v1/mobile/")))
        .collect();

    assert_eq!(
        BOUNDS
            .iter()
            .map(|bound| bound.route)
            .collect::<BTreeSet<_>>(),
        routes
    );
    assert_eq!(
        cases()
            .filter(|case| case.ordinary.is_some())
            .map(|case| case.route)
            .collect::<BTreeSet<_>>(),
        routes
    );
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
async fn identity_stays_within_its_bound() {
    check("GET", "me", ALL).await;
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
async fn conflict_summary_stays_within_its_bound() {
    check("GET", "conflicts/summary", ALL).await;
}

#[tokio::test]
async fn conflict_stays_within_its_bound() {
    check("GET", "conflicts/{id}", ALL).await;
}

#[tokio::test]
async fn resolution_stays_within_its_bound() {
    check("POST", "conflicts/{id}/resolve", ALL).await;
}

#[tokio::test]
async fn bulk_resolution_stays_within_its_bound() {
    check("POST", "conflicts/resolve", ALL).await;
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
async fn batch_list_stays_within_its_bound() {
    check("GET", "batches", ALL).await;
}

#[tokio::test]
async fn bulk_replay_stays_within_its_bound() {
    check("POST", "batches/replay", ALL).await;
}

#[tokio::test]
async fn correction_stays_within_its_bound() {
    check("POST", "batches/{id}/items/{index}/correct", ALL).await;
}

#[tokio::test]
async fn audit_stays_within_its_bound() {
    check("GET", "audit", ALL).await;
}

#[tokio::test]
async fn status_stays_within_its_bound() {
    check("GET", "status", ALL).await;
}
