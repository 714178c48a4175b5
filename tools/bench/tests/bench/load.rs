//! Checks `bench load`: latencies include a stall, both servers do the same work, and a run has all
//! rows.

mod loops;

use std::path::Path;

use serde_json::{Value, json};
use tidemark_bench::{
    load::{
        LoadArguments, Remote, tables,
        work::{ITEMS, LoadKind, Ready},
    },
    subject::{Kind, Subject},
};

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
