//! Checks `bench load`: latencies include a stall, both servers do the same work, and a run has all
//! rows.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tidemark_bench::{
    client::{Api, Request},
    load::{
        LoadArguments, Remote,
        drive::{closed_loop, open_loop},
        tables,
        work::{ITEMS, LoadKind, Ready},
    },
    subject::{Kind, Subject},
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

#[tokio::test(flavor = "multi_thread")]
async fn tidemark_and_baseline_return_same_results() {
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    let tidemark = work_of(&Subject::start(program, Kind::Tidemark)).await;
    let baseline = work_of(&Subject::start(program, Kind::Baseline)).await;
    assert_eq!(tidemark.0.len(), 4 * ITEMS, "number of pulled changes");
    assert_eq!(tidemark, baseline);
}

/// Returns the payloads that were pulled after some pushes, and the results of stale updates.
async fn work_of(subject: &Subject) -> (Vec<String>, Vec<Value>) {
    let (api, token) = (&subject.api, subject.token("ana"));
    let pulls = Ready::new(LoadKind::Pull, api, vec![token], 4 * ITEMS, 1).await;

    let mut payloads = Vec::new();
    for page in 0..2 {
        let page = api.ask(&pulls.request(page)).await;
        assert_eq!(pulls.count(&page), 2 * ITEMS);
        payloads.extend(
            page["changes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|change| change["payload"].to_string()),
        );
    }
    payloads.sort();

    let stale = Ready::new(LoadKind::Stale, api, vec![subject.token("ben")], 0, 1).await;
    let response = api.ask(&stale.request(7)).await;
    assert_eq!(stale.count(&response), ITEMS);

    let rejected = response["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let mut held = result["server_payload"].clone();
            // Ids differ between the servers, and the baseline stores them in the payload.
            held.as_object_mut().unwrap().remove("id");
            json!([result["status"], result["server_version"], held])
        });
    let rejected = rejected.collect();
    (payloads, rejected)
}

#[tokio::test(flavor = "multi_thread")]
async fn load_tables_have_all_rows_and_baselines() {
    let arguments = LoadArguments {
        remote: Remote::default(),
        requests: 2,
        changes: 200,
    };

    let tables = tables(Path::new(env!("CARGO_BIN_EXE_bench")), &arguments).await;
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(
        names,
        ["load-push", "load-pull", "load-stale", "load-quiet"]
    );

    for table in &tables {
        let rows: Vec<&str> = table
            .rows
            .iter()
            .map(|row| row.what.split(',').next().unwrap())
            .collect();
        let engine = "engine (baseline: SQLite)";
        assert_eq!(
            rows,
            [
                "1 client",
                "8 clients",
                "latency",
                "latency",
                "functions",
                engine,
                "memory"
            ],
            "{}",
            table.name
        );
        // The CPU time of a short run may be below the resolution of Linux.
        assert!(
            table
                .rows
                .iter()
                .all(|row| (row.measured > 0.0 || row.unit == "CPU s")
                    && row.baseline.is_some_and(|baseline| baseline >= 0.0)),
            "{table}"
        );
    }
}
