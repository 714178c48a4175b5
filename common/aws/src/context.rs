//! The dependencies of a handler: settings, table clients, clock, metrics. Built once per process
//! and cloned per invocation.

use std::{
    env,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::Client;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion, http::SharedHttpClient,
    stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{
    SdkConfig,
    region::Region,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};
use tidemark_core::model::{
    channel::{Channel, Scope},
    resource::ResourceKey,
};

use crate::{
    auth::Verifier,
    clock::Clock,
    dead_letters::DeadLetters,
    error::Error,
    media::Media,
    metrics::Meter,
    notifications::Notifications,
    random::Random,
    settings::{Settings, SettingsError},
    tables::Tables,
    transport,
};

/// The dependencies shared by all handlers.
#[derive(Debug, Clone)]
pub struct Context {
    /// The settings of the deployment.
    pub settings: Arc<Settings>,
    /// The clients of the DynamoDB tables.
    pub tables: Tables,
    /// Verifies the bearer tokens of requests.
    pub verifier: Arc<Verifier>,
    /// The source of the current time.
    pub clock: Clock,
    /// The source of jitter for retries.
    pub random: Random,
    /// The metrics of the current invocation.
    pub meter: Meter,
    /// Whether this process has handled an invocation before.
    is_warm: Arc<AtomicBool>,
}

/// The process environment of a function, in Lambda or wherever the same variables are set. Each
/// client beyond the tables makes the binary larger, so a function requests only the clients that
/// it uses.
#[derive(Debug)]
pub struct Environment {
    settings: Settings,
    sdk: SdkConfig,
}

/// The maximum time that initialization waits for its connection. Lambda allows ten seconds for the
/// whole initialization phase.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The maximum number of attempts for a call that is throttled or fails, and the upper bound of the
/// first backoff. The backoff doubles, with full jitter: all waits together take 0.8 s on average
/// and 1.6 s at most.
const ATTEMPTS_MAX: u32 = 6;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// The reason why a function cannot start.
type StartError = Box<dyn std::error::Error + Send + Sync>;

impl Environment {
    /// Reads the settings and the SDK configuration from environment variables.
    ///
    /// # Errors
    /// Returns [`SettingsError`] with the name of the variable that is missing or invalid.
    pub fn read() -> Result<Self, StartError> {
        let settings =
            Settings::from_env(&|name| env::var(name).ok()).map_err(|error| error.to_string())?;
        let bundle = env::var_os("AWS_CA_BUNDLE").map(PathBuf::from);
        let client = transport::client(bundle.as_deref()).map_err(|error| error.to_string())?;
        Ok(Self {
            settings,
            sdk: sdk_config(client).map_err(|error| error.to_string())?,
        })
    }

    /// Builds a context with the tables and the token verifier.
    ///
    /// # Errors
    /// Returns an error if the key set in the settings cannot be decoded.
    pub fn context(&self) -> Result<Context, StartError> {
        Ok(Context::new(
            self.settings.clone(),
            Client::new(&self.sdk),
            Clock::system(),
        )?)
    }

    /// Builds the client of the media bucket.
    ///
    /// # Errors
    /// Returns [`SettingsError::Missing`] if the deployment gives this function no secret for media
    /// keys.
    pub fn media(&self) -> Result<Media, SettingsError> {
        Media::new(crate::media::client(&self.sdk), &self.settings.media)
    }

    /// Builds the client of the dead-letter bucket for the function of that name.
    ///
    /// # Errors
    /// Returns [`SettingsError::Missing`] if the deployment configures no bucket.
    pub fn dead_letters(&self, function: &str) -> Result<DeadLetters, SettingsError> {
        let bucket = self
            .settings
            .failure_bucket
            .as_deref()
            .ok_or(SettingsError::Missing("FAILURE_BUCKET"))?;
        Ok(DeadLetters::new(
            crate::media::client(&self.sdk),
            bucket,
            function,
        ))
    }

    /// Builds the client of the notification topic, if the deployment has one.
    pub fn notifications(&self) -> Option<Notifications> {
        let topic = self.settings.notification_topic.as_deref()?;
        Some(Notifications::new(
            aws_sdk_sns::Client::new(&self.sdk),
            topic,
        ))
    }
}

impl Context {
    /// Builds a context from its settings, the DynamoDB client and the clock.
    ///
    /// # Errors
    /// Returns [`Error`] if the key set in the settings cannot be decoded.
    pub fn new(settings: Settings, dynamodb: Client, clock: Clock) -> Result<Self, Error> {
        let (random, meter) = (Random::system(), Meter::default());

        Ok(Self {
            tables: Tables::new(dynamodb, &settings, random.clone(), meter.clone()),
            verifier: Arc::new(Verifier::new(settings.auth.clone(), clock.clone())?),
            settings: Arc::new(settings),
            clock,
            random,
            meter,
            is_warm: Arc::default(),
        })
    }

    /// Returns a copy for one invocation, whose metrics are counted separately.
    pub fn for_invocation(&self) -> Self {
        let meter = Meter::default();
        Self {
            tables: self.tables.with_meter(&self.settings, meter.clone()),
            meter,
            ..self.clone()
        }
    }

    /// Opens the connection to DynamoDB during initialization with a read of `changes` that matches
    /// no item. The TLS handshake is complete and the code of a call is in memory when the first
    /// request arrives. Costs one read unit per cold start. An error is only logged here; the first
    /// request reports it.
    pub async fn connect_by_changes(&self) {
        connect(self.tables.changes.heads(&[nonexistent_channel()])).await;
    }

    /// Does the same as [`Self::connect_by_changes`] for a function that may read `devices` and not
    /// `changes`.
    pub async fn connect_by_devices(&self) {
        connect(self.tables.devices.load("-", "-", "-")).await;
    }

    /// Does the same as [`Self::connect_by_changes`] for a function that may read `resources` and
    /// not `changes`.
    pub async fn connect_by_resources(&self) {
        let Scope { tenant, channel } = nonexistent_channel();
        let nonexistent = ResourceKey {
            channel,
            resource_type: "-".to_owned(),
            id: "-".to_owned(),
        };
        connect(self.tables.resources.load(&tenant, [&nonexistent])).await;
    }

    /// Returns whether this is the first invocation of the process, a cold start. Must be called
    /// exactly once per invocation.
    pub(crate) fn is_cold(&self) -> bool {
        !self.is_warm.swap(true, Ordering::Relaxed)
    }

    /// Returns the context with another source of random numbers.
    pub fn with_random(self, random: Random) -> Self {
        Self {
            tables: self.tables.with_random(&self.settings, random.clone()),
            random,
            ..self
        }
    }

    /// Builds a context with the tables that the environment variables name, and no other clients.
    ///
    /// # Errors
    /// Returns the errors of [`Environment::read`] and [`Environment::context`].
    pub fn from_environment() -> Result<Self, StartError> {
        Environment::read()?.context()
    }
}

/// Returns a channel that does not exist, because `-` is the name of no tenant.
fn nonexistent_channel() -> Scope {
    Scope {
        tenant: "-".to_owned(),
        channel: Channel::Tenant,
    }
}

async fn connect<T>(read: impl Future<Output = Result<T, Error>>) {
    if !matches!(tokio::time::timeout(CONNECT_MAX, read).await, Ok(Ok(_))) {
        tracing::warn!("could not connect to DynamoDB during initialization");
    }
}

/// Limits a call and all its retries to less than the function's timeout, so that a hanging call
/// ends in an error response and not in a killed process.
fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5));
    timeouts.operation_timeout(Duration::from_secs(8)).build()
}

/// Builds the SDK configuration from the variables that Lambda sets and an optional endpoint.
/// `aws-config` reads more sources, but adds 0.65 MB to each binary.
fn sdk_config(client: SharedHttpClient) -> Result<SdkConfig, SettingsError> {
    let required = |name| variable(name).ok_or(SettingsError::Missing(name));

    let (key, secret) = (
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
    );

    let credentials = Credentials::new(
        key,
        secret,
        variable("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );

    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(OwnEndpoint)
        .http_client(client)
        .sleep_impl(TokioSleep::new())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS_MAX)
                .with_initial_backoff(BACKOFF_FIRST),
        )
        .timeout_config(timeouts())
        // A stalled call ends with the attempt timeout. Stalled-stream protection would cost a
        // timer per call.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());

    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// Resolves settings of one service: `AWS_ENDPOINT_URL_DYNAMODB` overrides `AWS_ENDPOINT_URL`.
#[derive(Debug)]
struct OwnEndpoint;

impl LoadServiceConfig for OwnEndpoint {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        variable(&format!(
            "{}_{}",
            key.env(),
            key.service_id().to_ascii_uppercase()
        ))
    }
}

/// Returns the value of an environment variable unless it is unset or empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
