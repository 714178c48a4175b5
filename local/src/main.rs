//! `cargo run`: the whole system on this machine. Everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    tidemark::cli::main().await
}
