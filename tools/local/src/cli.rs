//! The command line: starts the system or its DynamoDB alone, or prints a token or an environment.
//! All texts for a person at a terminal are in this module.

mod demo;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tidemark_core::model::limits::{GROUPS_MAX, NAME_BYTES_MAX, is_name};
use tidemark_core::wire::origins::AllowedOrigins;
use tracing_subscriber::EnvFilter;

use crate::auth::{self, Identity};
use crate::deployment::{self, DeploymentError};
use crate::gateway::ApiKind;
use crate::system::{Options, SWEEP_EVERY, StartError, Storage, System};

/// The whole sync backend on this machine, with nothing installed.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a token that every local runner accepts, and nothing else does.
    Token(TokenArgs),
    /// Prints the environment with which the functions' binaries use a running runner, in the
    /// format of `cargo lambda watch --env-file`.
    Env(EnvArgs),
    /// Fills a tenant of a running runner with realistic data: users, photos, conflicts of every
    /// kind, rejected items and devices that lag behind. A second run adds nothing.
    Demo(demo::DemoArgs),
    /// Runs the embedded DynamoDB alone, streams included, without tables: for emulators and tools
    /// that want one.
    #[command(name = "dynamodb")]
    DynamoDb(DynamoDbArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 9080)]
    port: u16,
    /// Folder that keeps the data between runs.
    #[arg(long, value_name = "DIR", default_value = ".tidemark")]
    data: PathBuf,
    /// Keep everything in memory: gone when the runner stops.
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// Which of API Gateway's two event shapes the functions get.
    #[arg(long, value_enum, default_value_t)]
    api: ApiKind,
    /// Origins whose pages may use the API and upload media, separated by commas, such as
    /// https://app.example; pages that localhost serves on any port always may.
    #[arg(long, value_name = "ORIGINS", default_value = "", value_parser = origins)]
    allowed_origins: String,
    /// Seconds between two sweeps of expired rows; for tests, which cannot wait.
    #[arg(long, hide = true, default_value_t = SWEEP_EVERY.as_secs())]
    sweep_seconds: u64,
}

#[derive(Debug, Args)]
struct DynamoDbArgs {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Folder that keeps the data between runs; without it, everything is in memory.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct EnvArgs {
    /// Port on 127.0.0.1 that the runner listens on.
    #[arg(long, default_value_t = 9080)]
    port: u16,
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// Tenant the token is for: 1 to 256 bytes.
    #[arg(long, value_parser = name)]
    tenant: String,
    /// User the token speaks for: 1 to 256 bytes.
    #[arg(long, value_parser = name)]
    user: String,
    /// A role, 1 to 256 bytes; may be repeated. `admin`, `viewer` and `operator` have a meaning.
    #[arg(long = "role", value_name = "ROLE", value_parser = name)]
    roles: Vec<String>,
    /// A group whose channel the user reads and writes, 1 to 256 bytes; may be repeated up to 100
    /// times.
    #[arg(long = "channel", value_name = "NAME", value_parser = name)]
    channels: Vec<String>,
}

/// Checks that a name has a length that every runner accepts in a token.
fn name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "it has {} bytes, and must have 1 to {NAME_BYTES_MAX}",
            text.len()
        ))
    }
}

/// Checks a comma-separated list of origins and returns it unchanged.
fn origins(list: &str) -> Result<String, String> {
    AllowedOrigins::parse(list)
        .map(|_| list.to_owned())
        .map_err(|error| error.to_string())
}

/// Runs the command that the arguments name, and returns the exit code when it has ended.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Token(arguments)) => token(&arguments),
        Some(Command::Env(arguments)) => env(&arguments).map_err(|error| error.to_string()),
        Some(Command::Demo(arguments)) => demo::run(&arguments).await,
        Some(Command::DynamoDb(arguments)) => {
            dynamodb(arguments).await.map_err(|error| error.to_string())
        }
        None => run(cli.run).await.map_err(|error| error.to_string()),
    };

    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            print_error(&message);
            ExitCode::FAILURE
        }
    }
}

fn token(arguments: &TokenArgs) -> Result<(), String> {
    let TokenArgs {
        tenant,
        user,
        roles,
        channels,
    } = arguments;
    if channels.len() > GROUPS_MAX {
        let message = format!(
            "--channel is given {} times, and may be given {GROUPS_MAX} times",
            channels.len()
        );
        Cli::command()
            .error(ErrorKind::TooManyValues, message)
            .exit();
    }

    let identity = Identity {
        tenant,
        user,
        roles,
        channels,
    };

    let token = auth::mint(
        identity,
        tidemark_aws::Clock::system().now().timestamp(),
        auth::TTL_S,
    )
    .map_err(|error| error.to_string())?;

    print_line(&token);
    Ok(())
}

fn env(arguments: &EnvArgs) -> Result<(), DeploymentError> {
    let environment = deployment::binaries_environment(arguments.port)?;
    // The values are in single quotes, which shells and cargo-lambda accept; no value contains a
    // quote. Empty values are omitted, because they count as not set.
    let set = environment.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<_> = set
        .map(|(name, value)| format!("{name}='{value}'"))
        .collect();
    print_line(&lines.join("\n"));
    Ok(())
}

async fn run(arguments: RunArgs) -> Result<(), StartError> {
    log_to_stderr();
    // Registered before anything starts, so that Ctrl-C at any time is a clean stop.
    let stop = stop_signal();

    let storage = if arguments.memory {
        Storage::Memory
    } else {
        Storage::Folder(arguments.data)
    };
    let data_location = match &storage {
        Storage::Folder(folder) => folder.display().to_string(),
        Storage::Memory => "memory, gone when this stops".to_owned(),
    };

    let sweep_every = Duration::from_secs(arguments.sweep_seconds);
    let allowed_origins = format!(
        "{},{}",
        deployment::LOCAL_ORIGINS,
        arguments.allowed_origins
    );
    let options = Options {
        port: arguments.port,
        storage,
        api: arguments.api,
        allowed_origins,
        sweep_every,
    };

    let system = System::start(options).await?;
    print_line(&welcome(&system.addr.to_string(), &data_location));
    serve_until(stop, system).await;
    Ok(())
}

async fn dynamodb(arguments: DynamoDbArgs) -> Result<(), StartError> {
    log_to_stderr();
    let stop = stop_signal();
    let storage = arguments.data.map_or(Storage::Memory, Storage::Folder);
    let system = System::start_dynamodb(arguments.port, storage).await?;
    print_line(&format!("DynamoDB is listening on http://{}", system.addr));
    serve_until(stop, system).await;
    Ok(())
}

async fn serve_until(stop: impl Future<Output = ()>, system: System) {
    stop.await;
    print_line("stopping");
    system.stop().await;
}

/// Returns the welcome text, with a first push and pull to paste into a terminal.
fn welcome(addr: &str, data_location: &str) -> String {
    format!(
        r#"tidemark is listening on http://{addr}
data: {data_location}
console: http://{addr}/console

A first push and pull, from another terminal:

  TOKEN=$(cargo run -q -- token --tenant acme --user ana)

  curl -s http://{addr}/api/v1/mobile/sync/push \
    -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \
    -d '{{"device_id":"phone-1","client_sync_token":null,"items":[{{"client_temp_id":"5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01","resource_type":"submission","action":"create","payload":{{"form_id":"f-1","form_version":"v2","data":{{"fieldA":"ok"}}}},"client_version":1}}]}}'

  curl -s http://{addr}/api/v1/mobile/sync/pull \
    -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \
    -d '{{"since_token":null,"device_id":"phone-2"}}'

Realistic data to look at: cargo run -- demo --url http://{addr}
What is stored: aws dynamodb scan --table-name resources --endpoint-url http://{addr} --region us-east-1 --no-sign-request
Ctrl-C stops it."#
    )
}

/// Resolves at the first Ctrl-C or SIGTERM. If a signal handler cannot be registered, the signal
/// keeps its default action, which ends the process without a clean stop.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let streams = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [interrupt, terminate] = streams;
        let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Logs to stderr: warnings and errors, or the levels that `RUST_LOG` selects. Stdout contains only
/// the output of the command.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .compact()
        .init();
}

// Ignores a write error. `println!` would panic if the terminal is closed.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "tidemark: {text}");
}
