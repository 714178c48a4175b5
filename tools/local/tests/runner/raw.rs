//! A runner in memory, and requests over a raw socket with headers that no client library would
//! send.

use crate::client::ApiResponse;
use crate::process::Runner;

/// Sends a request with these header lines, which include the host if there is one.
pub fn send(runner: &Runner, request: &str, headers: &str) -> ApiResponse {
    let target = "x-amz-target: DynamoDB_20120810.ListTables\r\n";
    let bytes = format!(
        "{request} HTTP/1.1\r\n{headers}{target}connection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    runner
        .client()
        .exchange(bytes.as_bytes())
        .unwrap_or_else(|error| panic!("{request} {headers:?}: {error}"))
}

/// Starts a runner in memory with these further arguments.
pub fn in_memory(arguments: &[&str]) -> (tempfile::TempDir, Runner) {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &[&["--memory"], arguments].concat());
    (home, runner)
}

/// Returns whether the response has the headers that every response needs.
pub fn is_complete(response: &ApiResponse) -> bool {
    response.head.contains("\r\ncache-control: no-store\r\n")
        && response
            .head
            .contains("\r\nx-content-type-options: nosniff\r\n")
}
