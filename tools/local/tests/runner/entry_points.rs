//! Unusual requests over a raw socket: preflights of browsers, headers that no client library would
//! send, and paths and queries that cannot be decoded.

use serde_json::json;

use crate::process::{Runner, token};
use crate::raw::{in_memory, is_complete, send};

/// Values of `x-forwarded-proto` other than `http` and `https`.
const PROTOCOLS: [&str; 8] = [
    "https,http",
    "",
    "1",
    "a b",
    "file",
    "[",
    "http://",
    "\u{fc}",
];
/// Values that are malformed in each of the `FORWARDED` headers.
const MALFORMED: [&str; 8] = ["", "[", "a b", ":", "a/b", "user@host", "99999", "\u{fc}"];
/// Headers that the functions or the gateway interpret.
const FORWARDED: [&str; 6] = [
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
    "x-amzn-trace-id",
    "cookie",
    "accept-encoding",
];
/// Query strings that are malformed or have an invalid `limit`.
const QUERIES: [&str; 7] = [
    "?%",
    "?%ff=%ff",
    "?limit=%zz",
    "?limit=%ff",
    "?&&=&",
    "?a=[]",
    "?limit=1%00",
];

#[test]
fn preflight_succeeds_for_allowed_pages() {
    let (_home, runner) = in_memory(&["--allowed-origins", "https://app.example"]);
    let host = format!("host: {}\r\n", runner.addr);
    let preflight_headers = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type\r\n";

    for api in [
        "sync/push",
        "sync/pull",
        "conflicts/conf-1/resolve",
        "conflicts/%ff",
    ] {
        for origin in ["https://app.example", "http://localhost:4200"] {
            let response = send(
                &runner,
                &format!("OPTIONS /api/v1/mobile/{api}"),
                &format!("{host}origin: {origin}\r\n{preflight_headers}"),
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
        let rejected = send(
            &runner,
            &format!("OPTIONS /api/v1/mobile/{api}"),
            &format!("{host}origin: https://evil.example\r\n{preflight_headers}"),
        );
        assert_eq!(rejected.status, 403);
    }

    let preflight_headers =
        "access-control-request-method: PUT\r\naccess-control-request-headers: content-type\r\n";
    let upload = send(
        &runner,
        "OPTIONS /media/incoming/a",
        &format!("{host}origin: https://app.example\r\n{preflight_headers}"),
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

    let rejected = send(
        &runner,
        "OPTIONS /media/incoming/a",
        &format!("{host}origin: https://evil.example\r\n{preflight_headers}"),
    );
    assert_eq!(rejected.status, 403);
}

/// Returns the header lines with malformed values, and with values that are too long.
fn malformed_lines() -> Vec<String> {
    let long = "x".repeat(5000);
    let mut lines = Vec::new();
    for proto in PROTOCOLS.into_iter().chain([long.as_str()]) {
        lines.push(format!("x-forwarded-proto: {proto}\r\n"));
        lines.push(format!(
            "x-forwarded-proto: {proto}\r\nx-forwarded-proto: https\r\n"
        ));
    }

    for value in MALFORMED.into_iter().chain([long.as_str()]) {
        lines.extend(FORWARDED.map(|name| format!("{name}: {value}\r\n")));
    }
    lines
}

/// Returns the header lines of a valid request: host and authorization.
fn valid_lines(runner: &Runner) -> String {
    format!(
        "host: {}\r\nauthorization: Bearer {}\r\n",
        runner.addr,
        token("ana")
    )
}

#[test]
fn malformed_headers_and_queries_are_handled() {
    for api in ["rest", "http"] {
        let (_home, runner) = in_memory(&["--api", api]);
        let host = valid_lines(&runner);

        for line in malformed_lines() {
            let response = send(
                &runner,
                "POST /api/v1/mobile/sync/pull",
                &format!("{host}{line}"),
            );
            assert_eq!(response.status, 200, "{api} {line:?}: {response:?}");
            assert!(is_complete(&response), "{response:?}");
        }

        for query in QUERIES {
            let response = send(
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
fn undecodable_paths_are_not_found() {
    for api in ["rest", "http"] {
        let (_home, runner) = in_memory(&["--api", api]);
        let host = valid_lines(&runner);

        for path in [
            "conflicts/%ff",
            "conflicts/%",
            "conflicts/%zz",
            "conflicts/a%00b",
            "conflicts/%c3%28",
            "batches/%ff",
            "batches/%f",
        ] {
            let response = send(&runner, &format!("GET /api/v1/mobile/{path}"), &host);
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
            let response = send(&runner, request, &host);
            assert_eq!(
                response.json()["code"],
                "forbidden",
                "{request}: {response:?}"
            );
        }

        let response = send(&runner, "POST /2015-03-31/functions/%ff/invocations", &host);
        assert_eq!(
            (response.status, response.json()["Type"].as_str()),
            (404, Some("User")),
            "{response:?}"
        );
        assert_eq!(runner.stop("INT").code, Some(0));
    }
}
