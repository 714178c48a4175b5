//! The console (docs/console.md): who may open which page, the sign-in, and the headers that
//! protect the pages.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod access;
mod audit;
mod batches;
mod browser;
mod conflicts;
mod devices;
mod forms;
mod headers;
mod provider;
mod session;
mod sign_in;
mod status;

use tidemark_tests::Stack;

/// The settings of a deployment whose console is enabled. The addresses do not resolve.
const ENABLED: &[(&str, &str)] = &[
    ("CONSOLE_CLIENT_ID", "console-client"),
    ("CONSOLE_AUTHORIZE_URL", "https://login.example/authorize"),
    ("CONSOLE_TOKEN_URL", "https://login.example/token"),
];

/// Returns a deployment whose console is enabled.
fn deployment() -> Stack {
    Stack::configured(ENABLED)
}
