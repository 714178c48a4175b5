//! A function's binary as Lambda runs it: a process that requests events from the runtime API, with
//! the environment of `template.yaml`, over the tables of a deployment.

pub mod api;
pub mod services;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::LazyLock,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lambda_http::{
    Body, Response,
    http::{HeaderName, HeaderValue},
};
use serde_json::Value;
use tempfile::NamedTempFile;
use tidemark::{deployment, store, template::Template};
use tokio::process::{Child, Command};

use crate::ApiResponse;
use api::{FunctionResponse, RuntimeApi, soon};

/// The variable that names a command to run shipped binaries of another architecture, such as
/// `qemu-aarch64 -L /usr/aarch64-linux-gnu`.
pub const RUNNER_VARIABLE: &str = "TIDEMARK_BINARIES_RUNNER";

/// The outcome of one invocation.
#[derive(Debug)]
pub enum Outcome {
    /// The function sent a response or an error report.
    Responded(FunctionResponse),
    /// The process exited without a response.
    Exited(ExitStatus),
}

/// Returns the environment that Lambda gives a function, with `endpoint` for its calls to AWS.
pub fn environment(function: &str, endpoint: &str) -> BTreeMap<String, String> {
    let mut environment =
        deployment::environment(&Template::built_in().unwrap(), function).unwrap();

    let ours = [
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", store::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", store::SECRET_KEY),
        ("AWS_SESSION_TOKEN", function),
        ("AWS_ENDPOINT_URL", endpoint),
    ];

    environment.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment
}

/// One execution environment: a process and its runtime API. Dropping it kills the process.
pub struct Lambda {
    function: String,
    process: Child,
    api: RuntimeApi,
    log: NamedTempFile,
}

impl Lambda {
    /// Starts the binary of a function with exactly this environment.
    pub async fn start(
        binary: &Path,
        function: &str,
        environment: BTreeMap<String, String>,
    ) -> Self {
        let api = RuntimeApi::start().await;
        let log = NamedTempFile::new().unwrap();

        let mut command = command(binary);
        command
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", api.addr.to_string());
        command.kill_on_drop(true).stdin(Stdio::null());
        command
            .stdout(log.reopen().unwrap())
            .stderr(log.reopen().unwrap());

        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));

        Self {
            function: function.to_owned(),
            process,
            api,
            log,
        }
    }

    /// Waits until the process has started, or has handled its event, and requests the next event.
    pub async fn idle(&mut self) {
        soon("a function that waits for an event", self.api.idle()).await;
    }

    /// Sends an event and waits for the outcome, at most for the function's timeout in the
    /// template.
    pub async fn invoke(&mut self, event: &str) -> Outcome {
        let within = timeout(&self.function);
        self.api.send(event, within);
        let work = async {
            tokio::select! {
                response = self.api.next_response() => Outcome::Responded(response),
                status = self.process.wait() => Outcome::Exited(status.unwrap()),
            }
        };
        let outcome = tokio::time::timeout(within, work).await;
        outcome.unwrap_or_else(|_| panic!("{} timed out: {}", self.function, self.logged()))
    }

    /// Sends an event that must succeed, and returns the response.
    pub async fn ask(&mut self, event: &str) -> String {
        match self.invoke(event).await {
            Outcome::Responded(FunctionResponse::Body(response)) => response,
            other => panic!("{}: {other:?}: {}", self.function, self.logged()),
        }
    }

    /// Returns the id of the process, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Kills the process, as Lambda does after a timeout.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Waits until the process exits.
    pub async fn end(&mut self) -> ExitStatus {
        soon("the end of a process", self.process.wait())
            .await
            .unwrap()
    }

    /// Returns the text that the process wrote to stdout and stderr.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

/// Returns the timeout of a function. The template is parsed only once: parsing takes a test build
/// seconds on a busy machine, which would count as the function's time.
pub fn timeout(function: &str) -> Duration {
    static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::built_in().unwrap());
    Duration::from_secs(TEMPLATE.timeout_s(function).unwrap())
}

/// Returns the command that runs a binary. A shipped binary may be of another architecture: then
/// the command in `TIDEMARK_BINARIES_RUNNER` runs it.
fn command(binary: &Path) -> Command {
    let is_shipped =
        std::env::var_os("TIDEMARK_BINARIES").is_some_and(|folder| binary.starts_with(folder));
    let runner = std::env::var(RUNNER_VARIABLE).unwrap_or_default();
    let mut words = runner.split_whitespace().filter(|_| is_shipped);
    let Some(runner) = words.next() else {
        return Command::new(binary);
    };
    let mut command = Command::new(runner);
    command.args(words).arg(binary);
    command
}

/// Returns the path of the function's binary that SAM or cargo-lambda built into this folder, if it
/// exists.
pub fn shipped(folder: &Path, function: &str) -> Option<PathBuf> {
    let logical_id = format!(
        "{}{}Function",
        function[..1].to_ascii_uppercase(),
        &function[1..]
    );
    let shipped = [logical_id.as_str(), function].map(|name| folder.join(name).join("bootstrap"));
    shipped.into_iter().find(|path| path.exists())
}

/// Decodes a response that the function sent to the runtime API, as the gateway does.
pub fn response(reported: &str) -> ApiResponse {
    let reported: Value = serde_json::from_str(reported).unwrap();
    let body = reported["body"].as_str().unwrap_or_default();
    let body = if reported["isBase64Encoded"] == true {
        Body::Binary(BASE64_STANDARD.decode(body).unwrap())
    } else {
        Body::from(body)
    };

    let mut response = Response::new(body);
    *response.status_mut() = u16::try_from(reported["statusCode"].as_u64().unwrap())
        .unwrap()
        .try_into()
        .unwrap();

    let single = reported["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name, value.as_str().unwrap()));
    let many = reported["multiValueHeaders"]
        .as_object()
        .into_iter()
        .flatten();
    let many = many.flat_map(|(name, values)| {
        values
            .as_array()
            .into_iter()
            .flatten()
            .map(move |value| (name, value.as_str().unwrap()))
    });

    for (name, value) in single.chain(many) {
        response.headers_mut().insert(
            name.parse::<HeaderName>().unwrap(),
            value.parse::<HeaderValue>().unwrap(),
        );
    }
    ApiResponse::read(response)
}
