//! Unusual requests over a raw socket: preflights of browsers, headers that no client library would
//! send, and paths and queries that cannot be decoded.

mod headers;
mod paths;

use crate::process::{Runner, token};
use crate::raw::{in_memory, is_complete, send};

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
                "access-control-allow-headers: authorization, content-type, content-encoding, if-none-match"
                    .to_owned(),
                "access-control-expose-headers: etag, retry-after, x-amzn-requestid".to_owned(),
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

#[test]
fn known_entity_tag_gets_no_body() {
    for api in ["rest", "http"] {
        let (_home, runner) = in_memory(&["--api", api]);
        let (limits, lines) = ("GET /api/v1/mobile/sync/limits", valid_lines(&runner));
        let whole = send(&runner, limits, &lines);
        let tag = whole
            .head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("etag: "))
            .unwrap()
            .replace("w/", "W/"); // the client converts the head to lower case

        let response = send(&runner, limits, &format!("{lines}if-none-match: {tag}\r\n"));
        assert_eq!(
            (response.status, response.text.as_str()),
            (304, ""),
            "{api}: {response:?}"
        );
        assert!(is_complete(&response), "{response:?}");
        assert!(!response.head.contains("\r\ncontent-type:"), "{response:?}");
    }
}

/// Returns the header lines of a valid request: host and authorization.
fn valid_lines(runner: &Runner) -> String {
    format!(
        "host: {}\r\nauthorization: Bearer {}\r\n",
        runner.addr,
        token("ana")
    )
}
