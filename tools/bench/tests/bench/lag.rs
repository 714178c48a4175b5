//! Checks that a short run of `bench lag` has all rows, on a local and on a remote Tidemark.

use std::path::Path;

use tidemark_bench::{
    lag::{LagArguments, tables},
    load::Remote,
    subject::{Kind, Subject},
};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bench"))
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_tables_have_all_rows() {
    let arguments = LagArguments {
        remote: Remote::default(),
        pushes: 3,
        channel_changes: 100,
    };

    let tables = tables(program(), &arguments).await;
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["lag-visible", "lag-channel"]);

    let rows: Vec<&str> = tables[0]
        .rows
        .iter()
        .map(|row| row.what.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(
        rows,
        ["p50", "p99", "pulls until it is returned, mean"].repeat(2)
    );

    // Latencies vary on a busy machine, but each must be positive and each change requires at least
    // one pull.
    assert!(
        tables[0]
            .rows
            .iter()
            .all(|row| row.measured > 0.0 && row.ratio().is_some()),
        "{}",
        tables[0]
    );
    let pulls = tables[0].rows.iter().filter(|row| row.unit == "pulls");
    assert!(
        pulls.map(|row| row.measured).all(|pulls| pulls >= 1.0),
        "{}",
        tables[0]
    );

    let units = |what: &str| {
        tables[1]
            .rows
            .iter()
            .find(|row| row.what == what && row.unit.starts_with("write"))
            .unwrap()
            .measured
    };

    assert_eq!(
        units("resources, pushed in 50s"),
        100.0,
        "a row of 300 bytes costs one write unit"
    );
    assert!(
        units("log, batches of 100") < units("log, batches of 10"),
        "{}",
        tables[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_deployment_is_measured_with_given_tokens() {
    let elsewhere = Subject::start(program(), Kind::Tidemark);
    let remote = Remote {
        url: Some(elsewhere.api.base().to_owned()),
        tokens: vec![elsewhere.token("ana")],
    };

    let tables = tables(
        program(),
        &LagArguments {
            remote,
            pushes: 3,
            channel_changes: 100,
        },
    )
    .await;

    assert_eq!(
        tables.len(),
        1,
        "the log of a channel is not measured over the network"
    );
    assert_eq!(
        tables[0].rows.len(),
        3,
        "with one token there are no other users: {}",
        tables[0]
    );
}
