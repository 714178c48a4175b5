//! Paths that cannot be decoded.

use serde_json::json;

use crate::raw::{in_memory, send};

use super::valid_lines;

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
