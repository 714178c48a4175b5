//! The console at `/console`: the runner serves its pages and files with the headers of the
//! console, and rejects other hosts and the forms of other sites.

use crate::client::ApiResponse;
use crate::raw::{in_memory, send};

/// Returns the value of a header, in lower case.
fn header<'a>(response: &'a ApiResponse, name: &str) -> Option<&'a str> {
    let start = format!("{name}: ");
    let mut lines = response.head.split("\r\n");
    lines.find_map(|line| line.strip_prefix(&start))
}

#[test]
fn pages_and_files_are_served() {
    for api in ["rest", "http"] {
        let (_home, runner) = in_memory(&["--api", api]);
        let host = format!("host: {}\r\n", runner.addr);

        let root = send(&runner, "GET /console", &host);
        assert_eq!(root.status, 303, "{api}: {root:?}");
        let sign_in = header(&root, "location").unwrap();
        assert_eq!(sign_in, "./console/sign-in", "{api}");

        for path in ["sign-in", "sign-in/", "sign-in?target=help"] {
            let page = send(&runner, &format!("GET /console/{path}"), &host);
            assert_eq!(page.status, 200, "{api} {path}: {page:?}");
            assert_eq!(header(&page, "cache-control"), Some("no-store"));
            assert!(header(&page, "content-security-policy").is_some());
        }

        let page = send(&runner, "GET /console/sign-in", &host);
        let (_, from) = page
            .text
            .split_once("rel=\"stylesheet\" href=\"./")
            .unwrap();
        let (stylesheet, _) = from.split_once('"').unwrap();
        let file = send(&runner, &format!("GET /console/{stylesheet}"), &host);
        assert_eq!(file.status, 200, "{api} {stylesheet}");
        let caching = header(&file, "cache-control").unwrap();
        assert!(caching.ends_with("immutable"), "{api}: {caching}");
    }
}

#[test]
fn other_hosts_and_sites_are_rejected() {
    let (_home, runner) = in_memory(&[]);
    let own = format!("host: {}\r\n", runner.addr);

    let other = send(&runner, "GET /console/help", "host: evil.example\r\n");
    assert_eq!(other.status, 421, "{other:?}");

    let link = format!("{own}sec-fetch-site: cross-site\r\n");
    let followed = send(&runner, "GET /console/sign-in", &link);
    assert_eq!(followed.status, 200, "a link may lead to the console");

    for foreign in [
        "origin: https://evil.example\r\n",
        "origin: http://localhost:4200\r\n",
        "sec-fetch-site: cross-site\r\n",
        "",
    ] {
        let headers = format!("{own}{foreign}");
        let response = send(&runner, "POST /console/sign-in", &headers);
        assert_eq!(response.status, 403, "{foreign}: {response:?}");
        assert_eq!(header(&response, "access-control-allow-origin"), None);
        assert_eq!(header(&response, "set-cookie"), None);
    }

    let form = format!("{own}origin: http://{}\r\n", runner.addr);
    let response = send(&runner, "POST /console/sign-in", &form);
    assert_eq!(response.status, 400, "the form has no names: {response:?}");

    for path in ["/consoles", "/console-x", "/consolehelp"] {
        let response = send(&runner, &format!("GET {path}"), &own);
        assert_eq!(response.status, 404, "{path}");
    }
}
