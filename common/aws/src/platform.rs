//! What a function stands on: its settings, its tables, its clock. Made once when the function starts, and cheap to clone, which each
//! invocation does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_config::{
    BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::Client;

use crate::{
    auth::Verifier,
    clock::Clock,
    failure::Failure,
    media::Media,
    metrics::Meter,
    settings::{Settings, SettingsError},
    tables::Tables,
};

/// What a function stands on.
#[derive(Debug, Clone)]
pub struct Platform {
    /// What the deployment decided.
    pub settings: Arc<Settings>,
    /// The tables.
    pub tables: Tables,
    /// Who calls.
    pub verifier: Arc<Verifier>,
    /// What time it is.
    pub clock: Clock,
    /// The media bucket; only functions that use it link S3.
    pub media: Option<Media>,
    /// What this invocation measures.
    pub meter: Meter,
    /// Whether an invocation was begun before.
    is_warm: Arc<AtomicBool>,
}

impl Platform {
    /// Stands on these tables and this clock.
    ///
    /// # Errors
    /// [`Failure`] when the key set of the settings does not read.
    pub fn new(settings: Settings, dynamodb: Client, clock: Clock) -> Result<Self, Failure> {
        Ok(Self {
            tables: Tables::new(dynamodb, &settings),
            verifier: Arc::new(Verifier::new(settings.auth.clone(), clock.clone())?),
            settings: Arc::new(settings),
            clock,
            media: None,
            meter: Meter::default(),
            is_warm: Arc::default(),
        })
    }

    /// The same for one invocation, which measures by itself.
    pub fn for_invocation(&self) -> Self {
        Self { meter: Meter::default(), ..self.clone() }
    }

    /// Whether nothing was invoked here before: a cold start. Asked once by each invocation.
    pub(crate) fn is_cold(&self) -> bool {
        !self.is_warm.swap(true, Ordering::Relaxed)
    }

    /// The same, on a media bucket too.
    pub fn with_media(self, media: Media) -> Self {
        Self { media: Some(media), ..self }
    }

    /// Stands on what the environment names: in Lambda, or wherever the same variables are set.
    ///
    /// # Errors
    /// [`SettingsError`] names the variable that is missing or wrong; a key set that does not read is an error too.
    pub async fn from_environment() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::on(&sdk_config().await)
    }

    /// [`from_environment`](Self::from_environment) with the media bucket: for the functions that use it, because it makes them larger.
    ///
    /// # Errors
    /// As above.
    pub async fn from_environment_with_media() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let config = sdk_config().await;
        let platform = Self::on(&config)?;
        let media = Media::new(crate::media::client(&config), &platform.settings.media);
        Ok(platform.with_media(media))
    }

    fn on(config: &SdkConfig) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let settings = Settings::from_env(&|name| std::env::var(name).ok()).map_err(|error: SettingsError| error.to_string())?;
        Ok(Self::new(settings, Client::new(config), Clock::system())?)
    }
}

/// A call and all its repetitions end well before the function's own time does, so that what hangs is answered, not cut off.
fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5));
    timeouts.operation_timeout(Duration::from_secs(8)).build()
}

/// Lambda hands credentials in environment variables; looking nowhere else keeps the function small and its start quick.
async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(25)))
        .timeout_config(timeouts())
        .load()
        .await
}
