//! Headers and queries that no client library would send.

use crate::raw::{in_memory, is_complete, send};

use super::valid_lines;

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
