//! The settings of a deployment, read from environment variables. `template.yaml` sets them; the
//! local runner evaluates the same template.

mod auth;
mod console;
mod media;
mod tables;
mod variables;

use chrono::Duration;
use tidemark_core::{
    model::{
        catalog::{Catalog, CatalogError},
        limits::MEDIA_SECRET_BYTES_MIN,
        principal::ADMIN,
    },
    rules::media::{Keyring, UploadRules},
    wire::origins::{AllowedOrigins, OriginError},
};

use variables::Variables;

pub use auth::{AuthSettings, KeySource};
pub use console::{ConsoleSettings, MintToken, ProviderSettings};
pub use media::MediaSettings;

pub use tables::TableNames;

/// The catalog that is compiled into this build.
const CATALOG: &str = include_str!("../../../catalog.toml");

/// All settings of a deployment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The names of the DynamoDB tables.
    pub tables: TableNames,
    /// The settings for the authentication of callers.
    pub auth: AuthSettings,
    /// `CATALOG`: the resource types as TOML. Defaults to the `catalog.toml` that was compiled into
    /// this build.
    pub catalog: Catalog,
    /// `LOG_RETENTION_DAYS`: how long the change log keeps a change. A device with an older
    /// position does a full resync.
    pub log_retention: Duration,
    /// `BATCH_RETENTION_DAYS`: how long raw items and results of batches are kept.
    pub batch_retention: Duration,
    /// The settings for uploads and media keys.
    pub media: MediaSettings,
    /// The settings for the sign-in of the console. Only set for the function `console`.
    pub console: ConsoleSettings,
    /// `ALLOWED_ORIGINS`: the origins whose pages may use the API from a browser. Defaults to none.
    pub allowed_origins: AllowedOrigins,
    /// `FAILURE_BUCKET`: the bucket for stream records that can never be processed. Only set for
    /// the functions that write to it or count its objects.
    pub failure_bucket: Option<String>,
    /// `NOTIFICATION_TOPIC`: the ARN of the topic for resolved conflicts. If it is not set, no
    /// notification is published.
    pub notification_topic: Option<String>,
    /// `STACK_NAME`: the dimension that separates this deployment's metrics from others. Defaults
    /// to `tidemark`.
    pub stack: String,
}

/// An error in the settings that prevents a function from starting.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A required variable is not set.
    #[error("environment variable {0} is not set")]
    Missing(&'static str),
    /// The value of a variable is not a number in its range.
    #[error("environment variable {0}: {1:?} is not a number from 1 to {2}")]
    Number(&'static str, String, u64),
    /// A secret is too short. Its value is not shown.
    #[error(
        "environment variables {0} and {0}_PREVIOUS: a secret has at least {MEDIA_SECRET_BYTES_MIN} bytes"
    )]
    Secret(&'static str),
    /// The value of a variable is not one of the two allowed values.
    #[error("environment variable {0}: {1:?} is neither {2} nor {3}")]
    Choice(&'static str, String, &'static str, &'static str),
    /// The text of a role is that of the admins.
    #[error(
        "environment variable {0}: the text {ADMIN:?} makes its users admins of their tenants, and \
         cannot give them another role"
    )]
    AdminText(&'static str),
    /// The catalog cannot be parsed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The list of origins cannot be parsed.
    #[error("environment variable ALLOWED_ORIGINS: {0}")]
    Origins(#[from] OriginError),
}

impl Settings {
    /// Returns the rules for uploads whose keys `keyring` authenticates.
    pub fn allowed_media<'a>(&'a self, keyring: &'a Keyring) -> UploadRules<'a> {
        UploadRules {
            types: &self.media.types,
            bytes_max: self.media.bytes_max,
            catalog: &self.catalog,
            keyring,
        }
    }

    /// Reads the settings with `variable`, which returns the value of an environment variable. An
    /// empty value counts as not set.
    ///
    /// # Errors
    /// Returns [`SettingsError`] with the name of the variable.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variables = Variables(variable);
        let keys = KeySource::from_env(variables)?;

        Ok(Self {
            tables: TableNames::from_env(variables)?,
            auth: AuthSettings::from_env(variables, keys)?,
            console: ConsoleSettings::from_env(variables)?,
            allowed_origins: AllowedOrigins::parse(&variables.or_default("ALLOWED_ORIGINS", ""))?,
            catalog: Catalog::parse(&variables.or_default("CATALOG", CATALOG))?,
            log_retention: variables.days("LOG_RETENTION_DAYS", "30")?,
            batch_retention: variables.days("BATCH_RETENTION_DAYS", "90")?,
            media: MediaSettings::from_env(variables)?,
            failure_bucket: variables.optional("FAILURE_BUCKET"),
            notification_topic: variables.optional("NOTIFICATION_TOPIC"),
            stack: variables.or_default("STACK_NAME", "tidemark"),
        })
    }
}
