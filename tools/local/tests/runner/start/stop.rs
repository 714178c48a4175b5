//! Stopping and killing the runner.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::process::{Runner, start_and_kill, token};

use super::{create, pulled};

#[test]
fn signals_stop_cleanly_and_data_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (folder, token) = (home.path().join("data"), token("ana"));
    let mut made = Vec::new();
    for (signal, id) in [("INT", "m-1"), ("TERM", "m-2"), ("INT", "m-3")] {
        let runner = Runner::on(&folder);
        assert_eq!(pulled(&runner, &token), made);
        // A device that keeps its connection open must not delay the stop.
        let _idle = runner.client();
        create(&runner, &token, id);
        made.push(id.to_owned());

        let ended = runner.stop(signal);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{signal}: {ended:?}"
        );
        assert!(ended.stdout.ends_with("stopping\n"), "{ended:?}");
    }
}

#[test]
fn killed_first_start_does_not_block_next() {
    let home = tempfile::tempdir().unwrap();
    for after_ms in (0..50).step_by(5) {
        let folder = home.path().join(after_ms.to_string());
        start_and_kill(&folder, Duration::from_millis(after_ms));
        assert_eq!(
            Runner::on(&folder).stop("INT").code,
            Some(0),
            "killed after {after_ms} ms"
        );
    }
}

#[test]
fn unfinished_request_does_not_prevent_stop() {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &["--memory"]);
    let mut stuck = TcpStream::connect(runner.addr).unwrap();
    stuck.write_all(b"POST /api/v1/mobile/sync/push HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{").unwrap();

    // This later response proves that the runner has accepted the stuck connection.
    assert_eq!(
        runner
            .client()
            .send("GET /health", &[], b"")
            .unwrap()
            .status,
        200
    );
    assert_eq!(runner.stop("INT").code, Some(0));
}
