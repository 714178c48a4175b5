//! What a function stands on: its settings, its tables, its clock. Made once when the function
//! starts, and cheap to clone, which each invocation does.

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
use tidemark_core::{
    channel::{Channel, Scope},
    resource::ResourceKey,
};

use crate::{
    auth::Verifier,
    clock::Clock,
    dead_letters::DeadLetters,
    failure::Failure,
    media::Media,
    metrics::Meter,
    notifications::Notifications,
    random::Random,
    settings::{Settings, SettingsError},
    tables::Tables,
    transport,
};

/// What a function stands on.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the deployment decided.
    pub settings: Arc<Settings>,
    /// The tables.
    pub tables: Tables,
    /// Who calls.
    pub verifier: Arc<Verifier>,
    /// What time it is.
    pub clock: Clock,
    /// How long to wait before a retry.
    pub random: Random,
    /// The media bucket; only functions that use it link S3.
    pub media: Option<Media>,
    /// The failure bucket; only the functions behind streams link it.
    pub dead_letters: Option<DeadLetters>,
    /// The notification topic, where the deployment has one; only `notify` links SNS.
    pub notifications: Option<Notifications>,
    /// What this invocation measures.
    pub meter: Meter,
    /// Whether an invocation was begun before.
    is_warm: Arc<AtomicBool>,
}

/// What a function finds when it starts, in Lambda or wherever the same variables are set. What it
/// asks for beyond the tables makes its binary larger, so each function asks for what it uses.
#[derive(Debug)]
pub struct Environment {
    settings: Settings,
    sdk: SdkConfig,
}

/// Longer than that a start does not wait for its connection: Lambda gives it ten seconds in all.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Times the SDK makes a call that was throttled or failed, and the longest wait before the first
/// retry; it doubles, with full jitter. The waits take 0.8 s on average and 1.6 s at most.
const ATTEMPTS_MAX: u32 = 6;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// Why a function does not start.
type StartError = Box<dyn std::error::Error + Send + Sync>;

impl Environment {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`SettingsError`] names the variable that is missing or wrong.
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

    /// The tables, and who calls.
    ///
    /// # Errors
    /// The key set of the settings does not read.
    pub fn context(&self) -> Result<Context, StartError> {
        Ok(Context::new(
            self.settings.clone(),
            Client::new(&self.sdk),
            Clock::system(),
        )?)
    }

    /// The media bucket.
    ///
    /// # Errors
    /// [`SettingsError::Missing`] where the deployment gives this function no secret for media
    /// keys.
    pub fn media(&self) -> Result<Media, SettingsError> {
        Media::new(crate::media::client(&self.sdk), &self.settings.media)
    }

    /// The failure bucket, for the function of that name.
    ///
    /// # Errors
    /// [`SettingsError::Missing`] where the deployment names none.
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

    /// The notification topic, if the deployment has one.
    pub fn notifications(&self) -> Option<Notifications> {
        let topic = self.settings.notification_topic.as_deref()?;
        Some(Notifications::new(
            aws_sdk_sns::Client::new(&self.sdk),
            topic,
        ))
    }
}

impl Context {
    /// Stands on these tables and this clock.
    ///
    /// # Errors
    /// [`Failure`] when the key set of the settings does not read.
    pub fn new(settings: Settings, dynamodb: Client, clock: Clock) -> Result<Self, Failure> {
        let random = Random::system();
        Ok(Self {
            tables: Tables::new(dynamodb, &settings, random.clone()),
            verifier: Arc::new(Verifier::new(settings.auth.clone(), clock.clone())?),
            settings: Arc::new(settings),
            clock,
            random,
            media: None,
            dead_letters: None,
            notifications: None,
            meter: Meter::default(),
            is_warm: Arc::default(),
        })
    }

    /// The same for one invocation, which measures by itself.
    pub fn for_invocation(&self) -> Self {
        Self {
            meter: Meter::default(),
            ..self.clone()
        }
    }

    /// Opens the connection to DynamoDB while the function still starts, by a read of `changes`
    /// that finds nothing: the handshake is over, and the code of a call is in memory, when the
    /// first request comes. Costs a read unit for each start. What goes wrong is the first
    /// request's to tell.
    pub async fn connect_by_changes(&self) {
        connect(self.tables.changes.heads(&[nobodys_channel()])).await;
    }

    /// The same, for a function that may read `resources` and not `changes`.
    pub async fn connect_by_resources(&self) {
        let Scope { tenant, channel } = nobodys_channel();
        let nothing = ResourceKey {
            channel,
            resource_type: "-".to_owned(),
            id: "-".to_owned(),
        };
        connect(self.tables.resources.load(&tenant, [&nothing])).await;
    }

    /// Whether nothing was invoked here before: a cold start. Asked once by each invocation.
    pub(crate) fn is_cold(&self) -> bool {
        !self.is_warm.swap(true, Ordering::Relaxed)
    }

    /// The same with another source of random numbers.
    pub fn with_random(self, random: Random) -> Self {
        Self {
            tables: self.tables.with_random(&self.settings, random.clone()),
            random,
            ..self
        }
    }

    /// The same, on a media bucket too.
    pub fn with_media(self, media: Media) -> Self {
        Self {
            media: Some(media),
            ..self
        }
    }

    /// The same, on the failure bucket too.
    pub fn with_dead_letters(self, dead_letters: DeadLetters) -> Self {
        Self {
            dead_letters: Some(dead_letters),
            ..self
        }
    }

    /// The same, on a notification topic too, if there is one.
    pub fn with_notifications(self, notifications: Option<Notifications>) -> Self {
        Self {
            notifications,
            ..self
        }
    }

    /// Stands on the tables that the environment names, and nothing else.
    ///
    /// # Errors
    /// Those of [`Environment`].
    pub fn from_environment() -> Result<Self, StartError> {
        Environment::read()?.context()
    }
}

/// A channel of a tenant that is none.
fn nobodys_channel() -> Scope {
    Scope {
        tenant: "-".to_owned(),
        channel: Channel::Tenant,
    }
}

async fn connect<T>(read: impl Future<Output = Result<T, Failure>>) {
    if !matches!(tokio::time::timeout(CONNECT_MAX, read).await, Ok(Ok(_))) {
        tracing::warn!("no connection to DynamoDB while the function started");
    }
}

/// A call and all its repetitions end well before the function's own time does, so that what hangs
/// is answered, not cut off.
fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5));
    timeouts.operation_timeout(Duration::from_secs(8)).build()
}

/// What Lambda hands in environment variables, and an endpoint of one's own. `aws-config` would
/// look in more places, for 0.65 MB of each binary.
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
        // A call that stalls runs into its time; watching its bytes besides costs each call a
        // timer.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// Settings of one service: `AWS_ENDPOINT_URL_DYNAMODB` stands before `AWS_ENDPOINT_URL`.
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

/// What an environment variable says, if anything.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
