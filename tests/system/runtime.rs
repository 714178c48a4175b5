//! The binaries of the functions as Lambda runs them: processes that poll the runtime API for
//! events, with the environment of `template.yaml`, against the tables of a deployment.
//! `TIDEMARK_BINARIES` names a folder with release binaries, built by SAM
//! (`PushFunction/bootstrap`) or cargo-lambda (`push/bootstrap`). Without it the tests use the
//! binaries that cargo built for them.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

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

/// Starts a function against a deployment. Its calls pass through `hook`.
async fn start(stack: &Stack, function: &str, hook: Arc<dyn Hook>) -> Lambda {
    start_changed(stack, function, hook, |_| {}).await
}

/// Starts a function as [`start`] does, in a changed environment.
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

/// Returns the path of a function's binary.
fn binary(function: &str) -> PathBuf {
    let built = match function {
        "ack" => env!("CARGO_BIN_EXE_lambda-ack"),
        "admin" => env!("CARGO_BIN_EXE_lambda-admin"),
        "batches" => env!("CARGO_BIN_EXE_lambda-batches"),
        "changelog" => env!("CARGO_BIN_EXE_lambda-changelog"),
        "console" => env!("CARGO_BIN_EXE_lambda-console"),
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

/// Returns the sequence numbers that the response of a stream function reports in
/// `batchItemFailures`.
fn dead_letters(response: &str) -> Vec<Option<String>> {
    let response: Value = serde_json::from_str(response).unwrap();
    let dead_letters = response["batchItemFailures"].as_array().unwrap().iter();
    dead_letters
        .map(|failure| failure["itemIdentifier"].as_str().map(ToOwned::to_owned))
        .collect()
}
