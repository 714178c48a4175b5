//! The binary that `cargo run` starts: the whole system on this machine. Everything else is in the
//! library.

use std::process::ExitCode;

/// Stack size of each worker thread in bytes. A debug build keeps whole futures in its frames.
const STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(tidemark::cli::main()),
        Err(_) => ExitCode::FAILURE,
    }
}
