//! A port that is in use.

use std::net::TcpListener;

use crate::process::{Runner, run};

use super::{assert_rejected, listing};

#[test]
fn port_in_use_is_named_folder_untouched() {
    let home = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let ended = run(home.path(), &["--port", &port, "--data", "data"]);
    assert_rejected(
        &ended,
        &[&format!("port {port} "), "already in use", "--port"],
    );
    assert_eq!(listing(home.path()).len(), 0);
}

#[test]
fn second_start_names_port_before_folder() {
    let home = tempfile::tempdir().unwrap();
    let first = Runner::on(&home.path().join("data"));
    let port = first.addr.port().to_string();
    assert_rejected(
        &run(home.path(), &["--port", &port, "--data", "data"]),
        &[&format!("port {port} ")],
    );
    assert_eq!(
        first.client().send("GET /health", &[], b"").unwrap().status,
        200
    );
}
