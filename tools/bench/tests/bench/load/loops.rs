//! The latencies that both loops measure include a stall or hide it.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use indicatif::ProgressBar;
use serde_json::json;
use tidemark_bench::{
    client::{Api, Request},
    load::{
        drive::{closed_loop, open_loop},
        work::{LoadKind, Ready},
    },
};
use tokio::{net::TcpListener, sync::Mutex};

const STALL: Duration = Duration::from_millis(600);
const STALLED_REQUEST: usize = 20;
const REQUESTS: usize = 120;
const RATE_PER_S: f64 = 200.0;

/// A server that handles one request at a time and stalls once.
#[derive(Clone, Default)]
struct Stalling {
    turn: Arc<Mutex<()>>,
    served: Arc<AtomicUsize>,
}

async fn nothing_new(State(server): State<Stalling>) -> String {
    let _turn = server.turn.lock().await;
    if server.served.fetch_add(1, Ordering::SeqCst) == STALLED_REQUEST {
        tokio::time::sleep(STALL).await;
    }
    json!({"next_token": "t", "changes": [], "has_more": false}).to_string()
}

async fn stalling() -> (Api, Ready) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let api = Api::new(&format!("http://{}", listener.local_addr().unwrap()));

    let router = Router::new()
        .route("/api/v1/mobile/sync/pull", post(nothing_new))
        .with_state(Stalling::default());
    tokio::spawn(async { axum::serve(listener, router).await });

    let ready = Ready::new(LoadKind::Quiet, &api, vec!["token".to_owned()], 0, 0).await;
    (api, ready)
}

fn requests(ready: &Ready) -> Vec<Request> {
    (0..REQUESTS).map(|number| ready.request(number)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn open_loop_latency_includes_stalls() {
    let (api, ready) = stalling().await;
    let done = open_loop(
        &api,
        &ready,
        requests(&ready),
        RATE_PER_S,
        &ProgressBar::hidden(),
    )
    .await;

    // Of the 0.6 s × 200/s = 120 requests due during the stall, 100 remained. They waited between
    // 600 ms and 100 ms.
    let stalled = done.latency_us.count_between(50_000, u64::MAX);
    assert!(
        stalled >= 80,
        "only {stalled} of {REQUESTS} requests show the stall"
    );
    assert!(done.ms_at(0.99) > 500.0, "p99 is {} ms", done.ms_at(0.99));
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_loop_latency_hides_stalls() {
    let (api, ready) = stalling().await;
    let done = closed_loop(&api, &ready, requests(&ready), 1, &ProgressBar::hidden()).await;
    assert_eq!(done.items, REQUESTS);
    assert!(
        done.ms_at(0.90) < 300.0,
        "p90 is {} ms: a closed loop should hide the stall",
        done.ms_at(0.90)
    );
}
