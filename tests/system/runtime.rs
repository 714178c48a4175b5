//! The functions' binaries as Lambda runs them: processes that ask the runtime API for events, with the environment of `template.yaml`,
//! over a deployment's tables. `TIDEMARK_BINARIES` names a folder with binaries that were built to be shipped, by SAM
//! (`PushFunction/bootstrap`) or cargo-lambda (`push/bootstrap`); without it they are those that cargo built for these tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod api;
mod events;
mod faults;
mod services;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lambda_http::{
    Body, Response,
    http::{HeaderName, HeaderValue},
};
use serde_json::Value;
use tempfile::NamedTempFile;
use tidemark::{deployment, engine::http::Hook, store::SECRET_KEY, template::Template};
use tidemark_tests::{Answer, Stack};
use tokio::process::{Child, Command};

use api::{RuntimeApi, Told, soon};

/// What became of an invocation.
#[derive(Debug)]
enum Outcome {
    /// What the function said.
    Told(Told),
    /// The process ended without a word.
    Ended(ExitStatus),
}

/// One execution environment: a process, and what Lambda is to it. It is killed when it is dropped.
struct Lambda {
    function: String,
    process: Child,
    api: RuntimeApi,
    log: NamedTempFile,
}

impl Lambda {
    /// Starts a function over a deployment, its calls passing `hook`.
    async fn start(stack: &Stack, function: &str, hook: Arc<dyn Hook>) -> Self {
        Self::start_without(stack, function, hook, "").await
    }

    /// The same without one of its environment variables.
    async fn start_without(stack: &Stack, function: &str, hook: Arc<dyn Hook>, missing: &str) -> Self {
        let name = if function == "faulty" { "push" } else { function };
        let (api, services) = (RuntimeApi::start().await, services::serve(stack, name, hook).await);
        let log = NamedTempFile::new().unwrap();
        let environment = deployment::environment(&Template::built_in().unwrap(), name).unwrap();
        let mut command = Command::new(binary(function));
        command.env_clear().envs(environment).env_remove(missing).kill_on_drop(true).stdin(Stdio::null());
        command.stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
        command.envs([
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_RUNTIME_API", &api.addr.to_string()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", tidemark::store::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_SESSION_TOKEN", name),
            ("AWS_ENDPOINT_URL", &format!("http://{services}")),
        ]);
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary(function).display()));
        Self { function: name.to_owned(), process, api, log }
    }

    /// Hands it an event and waits for what becomes of it, for no longer than the template lets the function take.
    async fn invoke(&mut self, event: &str) -> Outcome {
        let within = Duration::from_secs(Template::built_in().unwrap().timeout_s(&self.function).unwrap());
        self.api.send(event, within);
        let work = async {
            tokio::select! {
                told = self.api.told() => Outcome::Told(told),
                status = self.process.wait() => Outcome::Ended(status.unwrap()),
            }
        };
        let outcome = tokio::time::timeout(within, work).await;
        outcome.unwrap_or_else(|_| panic!("{} timed out: {}", self.function, self.logged()))
    }

    /// Hands it an event that it must answer.
    async fn ask(&mut self, event: &str) -> String {
        match self.invoke(event).await {
            Outcome::Told(Told::Answer(answer)) => answer,
            other => panic!("{}: {other:?}: {}", self.function, self.logged()),
        }
    }

    /// The number of its process.
    fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it as Lambda does when the time is over.
    async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Waits for its end.
    async fn end(&mut self) -> ExitStatus {
        soon("the end of a process", self.process.wait()).await.unwrap()
    }

    /// What it said on either output.
    fn logged(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
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
    let Some(folder) = std::env::var_os("TIDEMARK_BINARIES") else { return built.into() };
    let logical_id = format!("{}{}Function", function[..1].to_ascii_uppercase(), &function[1..]);
    let shipped = [logical_id.as_str(), function].map(|name| Path::new(&folder).join(name).join("bootstrap"));
    shipped.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no binary of {function} in {}", folder.display()))
}

/// An answer to a request, as the gateway reads it from what the function told the runtime API.
fn answer(told: &str) -> Answer {
    let told: Value = serde_json::from_str(told).unwrap();
    let body = told["body"].as_str().unwrap_or_default();
    let body =
        if told["isBase64Encoded"] == true { Body::Binary(BASE64_STANDARD.decode(body).unwrap()) } else { Body::from(body) };
    let mut response = Response::new(body);
    *response.status_mut() = u16::try_from(told["statusCode"].as_u64().unwrap()).unwrap().try_into().unwrap();
    let single = told["headers"].as_object().into_iter().flatten().map(|(name, value)| (name, value.as_str().unwrap()));
    let many = told["multiValueHeaders"].as_object().into_iter().flatten();
    let many =
        many.flat_map(|(name, values)| values.as_array().into_iter().flatten().map(move |value| (name, value.as_str().unwrap())));
    for (name, value) in single.chain(many) {
        response.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    }
    Answer::read(response)
}

/// The sequence numbers from which an answer of a function behind a stream asks to be given records again.
fn failures(told: &str) -> Vec<Option<String>> {
    let told: Value = serde_json::from_str(told).unwrap();
    let failures = told["batchItemFailures"].as_array().unwrap().iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().map(ToOwned::to_owned)).collect()
}
