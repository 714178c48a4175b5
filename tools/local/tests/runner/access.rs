//! Access control of the runner: hosts and origins at every entry point.

mod pages;

use serde_json::json;

use crate::process::Runner;
use crate::raw::{in_memory, is_complete, send};

/// Entry points of each kind: method and path, and whether pages of allowed origins may use them.
const ENTRIES: [(&str, bool); 10] = [
    ("POST /api/v1/mobile/sync/pull", true),
    ("GET /api/v1/mobile/nothing", true),
    ("GET /media/a", true),
    ("PUT /media/a", true),
    ("GET /media", true),
    ("GET /health", false),
    ("POST /", false),
    ("POST /2015-03-31/functions/resolve/invocations", false),
    ("GET /failure/a", false),
    ("GET /nothing", false),
];

#[test]
fn other_hosts_are_rejected_at_every_entry() {
    let (_home, runner) = in_memory(&[]);
    let port = runner.addr.port();

    for host in &foreign_hosts(port) {
        for (request, _) in ENTRIES {
            let response = send(&runner, request, host);
            assert_eq!(
                (response.status, &response.json()["status"]),
                (421, &json!(421)),
                "{request} {host:?}"
            );
            assert!(is_complete(&response), "{response:?}");
        }
    }

    // A request line may contain the host, too.
    let response = send(
        &runner,
        &format!("GET http://evil.example:{port}/health"),
        &format!("host: 127.0.0.1:{port}\r\n"),
    );
    assert_eq!(response.status, 421);
    assert_eq!(runner.stop("INT").code, Some(0));
}

/// Returns header lines with other hosts, malformed ones, several, and none.
fn foreign_hosts(port: u16) -> [String; 23] {
    let other = port.wrapping_add(1);

    [
        "host: evil.example\r\n".to_owned(),
        format!("host: evil.example:{port}\r\n"),
        format!("host: 127.0.0.1:{other}\r\n"),
        format!("host: localhost.evil.example:{port}\r\n"),
        format!("host: 127.0.0.1.evil.example:{port}\r\n"),
        format!("host: ana@127.0.0.1:{port}\r\n"),
        format!("host: 127.0.0.1:{port}@evil.example\r\n"),
        format!("host: 127.0.0.1:{port}/\r\n"),
        format!("host: 127.0.0.1:{port}, evil.example\r\n"),
        format!("host: 127.0.0.1:{port}\r\nhost: evil.example\r\n"),
        format!("host: [::1:{port}\r\n"),
        format!("host: ::1:{port}\r\n"),
        format!("host: 127.1:{port}\r\n"),
        format!("host: 0.0.0.0:{port}\r\n"),
        "host: 127.0.0.1:99999\r\n".to_owned(),
        "host: 127.0.0.1:\r\n".to_owned(),
        "host:\r\n".to_owned(),
        "host: a b\r\n".to_owned(),
        "host: [\r\n".to_owned(),
        "host: :\r\n".to_owned(),
        "host: l\u{f6}calhost\r\n".to_owned(),
        String::new(),
        format!("host: {}\r\n", "x".repeat(5000)),
    ]
}

#[test]
fn names_of_this_machine_are_accepted() {
    let (_home, runner) = in_memory(&[]);
    let port = runner.addr.port();

    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LocalHost:{port}"),
        format!("[::1]:{port}"),
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
    ] {
        for (request, status) in [
            ("GET /health", 200),
            ("POST /", 200),
            ("POST /api/v1/mobile/sync/pull", 401),
            ("GET /media/a", 403),
        ] {
            assert_eq!(
                send(&runner, request, &format!("host: {host}\r\n")).status,
                status,
                "{request} {host}"
            );
        }
    }

    assert_eq!(
        send(
            &runner,
            &format!("GET http://localhost:{port}/health"),
            &format!("host: localhost:{port}\r\n")
        )
        .status,
        200
    );
}

#[test]
fn standalone_dynamodb_is_guarded_too() {
    let home = tempfile::tempdir().unwrap();
    let engine = Runner::dynamodb(home.path(), &[]);
    let host = format!("host: {}\r\n", engine.addr);
    assert_eq!(send(&engine, "POST /", &host).status, 200);
    assert_eq!(
        send(&engine, "POST /", "host: evil.example\r\n").status,
        421
    );
    for origin in ["https://evil.example", "http://localhost:3000"] {
        let response = send(&engine, "POST /", &format!("{host}origin: {origin}\r\n"));
        assert_eq!(response.status, 403, "{response:?}");
    }
    assert!(is_complete(&send(&engine, "GET /nothing", &host)));
}
