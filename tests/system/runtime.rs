//! The functions' binaries as Lambda runs them: processes that ask the runtime API for events, with
//! the environment of `template.yaml`, over a deployment's tables. `TIDEMARK_BINARIES` names a
//! folder with binaries that were built to be shipped, by SAM (`PushFunction/bootstrap`) or
//! cargo-lambda (`push/bootstrap`); without it they are those that cargo built for these tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod events;
mod faults;
mod odd_events;
mod watch;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use tidemark::engine::http::Hook;
use tidemark_tests::{
    Stack,
    lambda::{self, Lambda, services},
};

/// Starts a function over a deployment, its calls passing `hook`.
async fn start(stack: &Stack, function: &str, hook: Arc<dyn Hook>) -> Lambda {
    start_changed(stack, function, hook, |_| {}).await
}

/// The same in another environment.
async fn start_changed(
    stack: &Stack,
    function: &str,
    hook: Arc<dyn Hook>,
    change: impl FnOnce(&mut BTreeMap<String, String>),
) -> Lambda {
    let name = if function == "faulty" {
        "push"
    } else {
        function
    };
    let services = services::serve(stack, name, hook).await;
    let mut environment = lambda::environment(name, &format!("http://{services}"));
    change(&mut environment);
    Lambda::start(&binary(function), name, environment).await
}

/// The binary of a function.
fn binary(function: &str) -> PathBuf {
    let built = match function {
        "ack" => env!("CARGO_BIN_EXE_lambda-ack"),
        "batches" => env!("CARGO_BIN_EXE_lambda-batches"),
        "changelog" => env!("CARGO_BIN_EXE_lambda-changelog"),
        "conflicts" => env!("CARGO_BIN_EXE_lambda-conflicts"),
        "notify" => env!("CARGO_BIN_EXE_lambda-notify"),
        "presign" => env!("CARGO_BIN_EXE_lambda-presign"),
        "pull" => env!("CARGO_BIN_EXE_lambda-pull"),
        "push" => env!("CARGO_BIN_EXE_lambda-push"),
        "resolve" => env!("CARGO_BIN_EXE_lambda-resolve"),
        "faulty" => return env!("CARGO_BIN_EXE_lambda-faulty").into(),
        _ => panic!("no binary of {function} is built for these tests"),
    };
    let Some(folder) = std::env::var_os("TIDEMARK_BINARIES") else {
        return built.into();
    };
    lambda::shipped(Path::new(&folder), function)
        .unwrap_or_else(|| panic!("no binary of {function} in {}", folder.display()))
}

/// The sequence numbers from which an answer of a function behind a stream asks to be given records
/// again.
fn dead_letters(told: &str) -> Vec<Option<String>> {
    let told: Value = serde_json::from_str(told).unwrap();
    let dead_letters = told["batchItemFailures"].as_array().unwrap().iter();
    dead_letters
        .map(|failure| failure["itemIdentifier"].as_str().map(ToOwned::to_owned))
        .collect()
}
