//! Pages of other sites at every entry point.

use crate::raw::{in_memory, is_complete, send};
use serde_json::json;

use super::ENTRIES;

/// Header lines of requests that come from other sites.
const FOREIGN_PAGES: [&str; 9] = [
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

#[test]
fn pages_of_other_sites_are_rejected() {
    let (_home, runner) = in_memory(&[
        "--allowed-origins",
        "https://app.example,capacitor://localhost",
    ]);
    let host = format!("host: {}\r\n", runner.addr);

    for (request, _) in ENTRIES {
        for origin in FOREIGN_PAGES {
            let response = send(&runner, request, &format!("{host}{origin}"));
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
            let response = send(
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

    // Requests of a person who opens the address in a browser, and of a program.
    for header in [
        "sec-fetch-site: none\r\n",
        "sec-fetch-site: same-origin\r\n",
        "",
    ] {
        assert_eq!(
            send(&runner, "GET /health", &format!("{host}{header}")).status,
            200,
            "{header:?}"
        );
    }
}
