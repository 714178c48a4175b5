//! Who may speak to the runner, over a bare socket: hosts and origins at every entry point, headers
//! that are no text a client library would send, and the headers of what is answered.

use serde_json::json;

use crate::client::ApiResponse;
use crate::process::{Runner, run, token};

/// An entry point of each kind: method and path, and whether pages of allowed origins may ask.
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

/// Sends a request with this host line, if any, and these headers.
fn ask(runner: &Runner, request: &str, headers: &str) -> ApiResponse {
    let target = "x-amz-target: DynamoDB_20120810.ListTables\r\n";
    let bytes = format!(
        "{request} HTTP/1.1\r\n{headers}{target}connection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    runner
        .client()
        .exchange(bytes.as_bytes())
        .unwrap_or_else(|error| panic!("{request} {headers:?}: {error}"))
}

fn in_memory(arguments: &[&str]) -> (tempfile::TempDir, Runner) {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &[&["--memory"], arguments].concat());
    (home, runner)
}

fn is_complete(response: &ApiResponse) -> bool {
    response.head.contains("\r\ncache-control: no-store\r\n")
        && response
            .head
            .contains("\r\nx-content-type-options: nosniff\r\n")
}

#[test]
fn other_hosts_are_refused_at_every_entry() {
    let (_home, runner) = in_memory(&[]);
    let port = runner.addr.port();
    let other = port.wrapping_add(1);
    let long = format!("host: {}\r\n", "x".repeat(5000));
    let rejected = [
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
        long,
    ];
    for host in &rejected {
        for (request, _) in ENTRIES {
            let response = ask(&runner, request, host);
            assert_eq!(
                (response.status, &response.json()["status"]),
                (421, &json!(421)),
                "{request} {host:?}"
            );
            assert!(is_complete(&response), "{response:?}");
        }
    }
    // A request line may name the host, too.
    let response = ask(
        &runner,
        &format!("GET http://evil.example:{port}/health"),
        &format!("host: 127.0.0.1:{port}\r\n"),
    );
    assert_eq!(response.status, 421);
    assert_eq!(runner.stop("INT").code, Some(0));
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
                ask(&runner, request, &format!("host: {host}\r\n")).status,
                status,
                "{request} {host}"
            );
        }
    }
    assert_eq!(
        ask(
            &runner,
            &format!("GET http://localhost:{port}/health"),
            &format!("host: localhost:{port}\r\n")
        )
        .status,
        200
    );
}

#[test]
fn pages_of_other_sites_are_refused() {
    let (_home, runner) = in_memory(&[
        "--allowed-origins",
        "https://app.example,capacitor://localhost",
    ]);
    let host = format!("host: {}\r\n", runner.addr);
    let foreign = [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "origin:\r\n",
        "origin: http://localhost.evil.example:3000\r\n",
        "origin: https://app.example:444\r\n",
        "origin: https://app.example\r\norigin: https://evil.example\r\n",
        "origin: file://\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
    ];
    for (request, _) in ENTRIES {
        for origin in foreign {
            let response = ask(&runner, request, &format!("{host}{origin}"));
            assert_eq!(
                (response.status, &response.json()["code"]),
                (403, &json!("forbidden")),
                "{request} {origin:?}"
            );
            assert!(
                !response.head.contains("access-control-allow-origin") && is_complete(&response),
                "{response:?}"
            );
        }
    }
    let here = format!("http://{}", runner.addr);
    let known = [
        "http://localhost:3000",
        "http://localhost",
        "http://127.0.0.1:5173",
        &here,
        "https://app.example",
        "capacitor://localhost",
    ];
    for origin in known {
        for (request, is_for_pages) in ENTRIES {
            let response = ask(
                &runner,
                request,
                &format!("{host}origin: {origin}\r\nsec-fetch-site: cross-site\r\n"),
            );
            let is_shared = response
                .head
                .contains(&format!("\r\naccess-control-allow-origin: {origin}\r\n"));
            let is_rejected =
                response.status == 403 && response.text.contains("urn:tidemark:problem:forbidden");
            assert_eq!(
                (is_shared, is_rejected),
                (is_for_pages, !is_for_pages),
                "{request} {origin}: {response:?}"
            );
        }
    }
    // A person who opens it in a browser, and a program.
    for header in [
        "sec-fetch-site: none\r\n",
        "sec-fetch-site: same-origin\r\n",
        "",
    ] {
        assert_eq!(
            ask(&runner, "GET /health", &format!("{host}{header}")).status,
            200,
            "{header:?}"
        );
    }
}

#[test]
fn the_embedded_dynamodb_alone_is_guarded_too() {
    let home = tempfile::tempdir().unwrap();
    let engine = Runner::dynamodb(home.path(), &[]);
    let host = format!("host: {}\r\n", engine.addr);
    assert_eq!(ask(&engine, "POST /", &host).status, 200);
    assert_eq!(ask(&engine, "POST /", "host: evil.example\r\n").status, 421);
    for origin in ["https://evil.example", "http://localhost:3000"] {
        let response = ask(&engine, "POST /", &format!("{host}origin: {origin}\r\n"));
        assert_eq!(response.status, 403, "{response:?}");
    }
    assert!(is_complete(&ask(&engine, "GET /nothing", &host)));
}

#[test]
fn a_preflight_is_answered_for_allowed_pages() {
    let (_home, runner) = in_memory(&["--allowed-origins", "https://app.example"]);
    let host = format!("host: {}\r\n", runner.addr);
    let asks = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type\r\n";
    for api in [
        "sync/push",
        "sync/pull",
        "conflicts/conf-1/resolve",
        "conflicts/%ff",
    ] {
        for origin in ["https://app.example", "http://localhost:4200"] {
            let response = ask(
                &runner,
                &format!("OPTIONS /api/v1/mobile/{api}"),
                &format!("{host}origin: {origin}\r\n{asks}"),
            );
            assert_eq!(
                (response.status, response.text.as_str()),
                (204, ""),
                "{api}"
            );
            for header in [
                format!("access-control-allow-origin: {origin}"),
                "access-control-allow-headers: authorization, content-type, content-encoding"
                    .to_owned(),
                "access-control-expose-headers: retry-after, x-amzn-requestid".to_owned(),
                "access-control-max-age: 3600".to_owned(),
                "vary: origin".to_owned(),
            ] {
                assert!(
                    response.head.contains(&format!("\r\n{header}\r\n")),
                    "{api} {header}: {response:?}"
                );
            }
            assert!(is_complete(&response), "{response:?}");
        }
        let rejected = ask(
            &runner,
            &format!("OPTIONS /api/v1/mobile/{api}"),
            &format!("{host}origin: https://evil.example\r\n{asks}"),
        );
        assert_eq!(rejected.status, 403);
    }
    let asks =
        "access-control-request-method: PUT\r\naccess-control-request-headers: content-type\r\n";
    let upload = ask(
        &runner,
        "OPTIONS /media/incoming/a",
        &format!("{host}origin: https://app.example\r\n{asks}"),
    );
    assert_eq!(upload.status, 200, "{upload:?}");
    assert!(
        upload
            .head
            .contains("\r\naccess-control-allow-origin: https://app.example\r\n"),
        "{upload:?}"
    );
    assert!(
        upload
            .head
            .contains("\r\naccess-control-allow-methods: put\r\n"),
        "{upload:?}"
    );
    let rejected = ask(
        &runner,
        "OPTIONS /media/incoming/a",
        &format!("{host}origin: https://evil.example\r\n{asks}"),
    );
    assert_eq!(rejected.status, 403);
}

#[test]
fn odd_headers_are_answered_with_problems() {
    for api in ["rest", "http"] {
        let (_home, runner) = in_memory(&["--api", api]);
        let host = format!(
            "host: {}\r\nauthorization: Bearer {}\r\n",
            runner.addr,
            token("ana")
        );
        let long = "x".repeat(5000);
        let mut lines: Vec<String> = Vec::new();
        for proto in [
            "https,http",
            "",
            "1",
            "a b",
            "file",
            "[",
            "http://",
            "\u{fc}",
            &long,
        ] {
            lines.push(format!("x-forwarded-proto: {proto}\r\n"));
            lines.push(format!(
                "x-forwarded-proto: {proto}\r\nx-forwarded-proto: https\r\n"
            ));
        }
        for value in [
            "",
            "[",
            "a b",
            ":",
            "a/b",
            "user@host",
            "99999",
            "\u{fc}",
            &long,
        ] {
            for name in [
                "x-forwarded-host",
                "x-forwarded-port",
                "forwarded",
                "x-amzn-trace-id",
                "cookie",
                "accept-encoding",
            ] {
                lines.push(format!("{name}: {value}\r\n"));
            }
        }
        for line in &lines {
            let response = ask(
                &runner,
                "POST /api/v1/mobile/sync/pull",
                &format!("{host}{line}"),
            );
            assert_eq!(response.status, 200, "{api} {line:?}: {response:?}");
            assert!(is_complete(&response), "{response:?}");
        }
        for query in [
            "?%",
            "?%ff=%ff",
            "?limit=%zz",
            "?limit=%ff",
            "?&&=&",
            "?a=[]",
            "?limit=1%00",
        ] {
            let response = ask(
                &runner,
                &format!("GET /api/v1/mobile/devices{query}"),
                &host,
            );
            let expected = if query.contains("limit") { 400 } else { 200 };
            assert_eq!(response.status, expected, "{api} {query}: {response:?}");
            response.json();
        }
        assert_eq!(runner.stop("INT").code, Some(0));
    }
}

#[test]
fn paths_that_do_not_decode_are_not_found() {
    for api in ["rest", "http"] {
        let (_home, runner) = in_memory(&["--api", api]);
        let host = format!(
            "host: {}\r\nauthorization: Bearer {}\r\n",
            runner.addr,
            token("ana")
        );
        for path in [
            "conflicts/%ff",
            "conflicts/%",
            "conflicts/%zz",
            "conflicts/a%00b",
            "conflicts/%c3%28",
            "batches/%ff",
            "batches/%f",
        ] {
            let response = ask(&runner, &format!("GET /api/v1/mobile/{path}"), &host);
            assert_eq!(
                (response.status, &response.json()["code"]),
                (404, &json!("not_found")),
                "{api} {path}"
            );
            assert!(
                response
                    .head
                    .contains("\r\ncontent-type: application/problem+json\r\n"),
                "{response:?}"
            );
        }
        for request in [
            "POST /api/v1/mobile/batches/%ff/replay",
            "POST /api/v1/mobile/conflicts/%ff/resolve",
        ] {
            let response = ask(&runner, request, &host);
            assert_eq!(
                response.json()["code"],
                "forbidden",
                "{request}: {response:?}"
            );
        }
        let response = ask(&runner, "POST /2015-03-31/functions/%ff/invocations", &host);
        assert_eq!(
            (response.status, response.json()["Type"].as_str()),
            (404, Some("User")),
            "{response:?}"
        );
        assert_eq!(runner.stop("INT").code, Some(0));
    }
}

#[test]
fn tokens_that_nothing_accepts_are_not_printed() {
    let home = tempfile::tempdir().unwrap();
    let (long, most) = ("x".repeat(257), "\u{e9}".repeat(128));
    let many: Vec<&str> = ["token", "--tenant", "acme", "--user", "ana"]
        .into_iter()
        .chain(["--channel", "c"].repeat(101))
        .collect();
    for arguments in [
        &["token", "--tenant", "", "--user", "ana"][..],
        &["token", "--tenant", "acme", "--user", ""],
        &["token", "--tenant", &long, "--user", "ana"],
        &["token", "--tenant", "acme", "--user", &long],
        &[
            "token",
            "--tenant",
            "acme",
            "--user",
            "ana",
            "--channel",
            "",
        ],
        &[
            "token",
            "--tenant",
            "acme",
            "--user",
            "ana",
            "--channel",
            "north",
            "--channel",
            &long,
        ],
        &["token", "--tenant", "acme", "--user", "ana", "--role", ""],
        &[
            "token", "--tenant", "acme", "--user", "ana", "--role", &long,
        ],
        &["token", "--tenant=", "--user=ana"],
        &many,
        &["--memory", "--allowed-origins", "*"],
        &["--memory", "--allowed-origins", "app.example"],
    ] {
        let ended = run(home.path(), arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {ended:?}"
        );
        assert!(
            ended.stderr.starts_with("error: "),
            "{arguments:?}: {ended:?}"
        );
    }
    let ended = run(
        home.path(),
        &[
            "token",
            "--tenant",
            &most,
            "--user",
            &most,
            "--channel",
            &most,
            "--role",
            &most,
        ],
    );
    assert_eq!(
        (ended.code, ended.stdout.lines().count()),
        (Some(0), 1),
        "{ended:?}"
    );
    let (_home, runner) = in_memory(&[]);
    assert_eq!(
        runner
            .client()
            .post("sync/pull", ended.stdout.trim_end(), "{}")
            .unwrap()
            .status,
        200
    );
}
