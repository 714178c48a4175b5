//! The settings of a deployment, read from environment variables. `template.yaml` sets them; the
//! local runner evaluates the same template.

mod variables;

use chrono::Duration;
use tidemark_core::{
    model::{
        catalog::{Catalog, CatalogError},
        limits::{MEDIA_BYTES_MAX, MEDIA_SECRET_BYTES_MIN},
    },
    rules::media::{Keyring, UploadRules},
    wire::origins::{AllowedOrigins, OriginError},
};

use variables::Variables;

/// The catalog that is compiled into this build.
const CATALOG: &str = include_str!("../../../catalog.toml");

/// The maximum validity of an upload URL, in seconds (§6).
const MEDIA_URL_SECONDS_MAX: u64 = 900;
/// The maximum token validity that can be configured, in seconds: ten years.
const TOKEN_SECONDS_MAX: u64 = 315_360_000;

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

/// The settings for uploads (§6).
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// `MEDIA_BUCKET`: the bucket that stores uploads.
    pub bucket: String,
    /// `MEDIA_TYPES`: the allowed content types in lower case.
    pub types: Vec<String>,
    /// `MEDIA_BYTES_MAX`: the maximum size of one upload in bytes.
    pub bytes_max: u64,
    /// `MEDIA_URL_SECONDS`: the validity of an upload URL in seconds, 1 to 900.
    pub url_seconds: u64,
    /// `MEDIA_SECRET` and `MEDIA_SECRET_PREVIOUS`: the secrets that authenticate media keys. Only
    /// set for the functions that create or accept keys.
    pub keyring: Option<Keyring>,
    /// `MEDIA_OLD_KEYS`: whether keys without a MAC, which presign returned before MACs were
    /// introduced, are still accepted: `accept` (the default) or `refuse`.
    pub accepts_old_keys: bool,
}

/// The names of the DynamoDB tables.
#[derive(Debug, Clone)]
pub struct TableNames {
    /// `RESOURCES_TABLE`: the name of table `resources`.
    pub resources: String,
    /// `CHANGES_TABLE`: the name of table `changes`.
    pub changes: String,
    /// `SYNC_BATCHES_TABLE`: the name of table `sync_batches`.
    pub sync_batches: String,
    /// `SYNC_ITEMS_TABLE`: the name of table `sync_items`.
    pub sync_items: String,
    /// `CONFLICTS_TABLE`: the name of table `conflicts`.
    pub conflicts: String,
    /// `SUBMISSION_MEDIA_TABLE`: the name of table `submission_media`.
    pub submission_media: String,
    /// `DEVICES_TABLE`: the name of table `devices`.
    pub devices: String,
    /// `UNIQUE_KEYS_TABLE`: the name of table `unique_keys`.
    pub unique_keys: String,
    /// `AUDIT_LOG_TABLE`: the name of table `audit_log`.
    pub audit_log: String,
}

/// The settings for the authentication of callers (§1).
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// `JWT_ISSUER`: the required value of `iss`.
    pub issuer: String,
    /// `JWT_AUDIENCE`: the value that the audience claim must be or contain.
    pub audience: String,
    /// The source of the keys that verify signatures.
    pub keys: KeySource,
    /// `CLAIM_USER`: the claim with the user. Defaults to `sub`.
    pub user_claim: String,
    /// `CLAIM_TENANT`: the claim with the tenant. Defaults to `tenant`.
    pub tenant_claim: String,
    /// `CLAIM_ROLES`: the claim with the roles. Defaults to `roles`.
    pub roles_claim: String,
    /// `CLAIM_CHANNELS`: the claim with the groups. Defaults to `channels`; Cognito uses
    /// `cognito:groups`.
    pub channels_claim: String,
    /// `CLAIM_AUDIENCE`: the claim with the audience. Defaults to `aud`; Cognito's access tokens
    /// use `client_id`.
    pub audience_claim: String,
    /// `TOKEN_SECONDS_MAX`: the maximum lifetime of a token in seconds, from `iat`, or from now if
    /// the token has no `iat`. Defaults to one day.
    pub token_seconds_max: u64,
    /// `TOKEN_TYPE`: the required `typ` in the header of a token, such as `at+jwt`. Any type is
    /// accepted if it is not set.
    pub token_type: Option<String>,
    /// `TOKEN_USE`: the required value of the claim `token_use`, such as Cognito's `access`. Any
    /// value is accepted if it is not set.
    pub token_use: Option<String>,
}

/// The source of the keys that verify token signatures.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `JWKS`: the key set itself, as JSON.
    Inline(String),
    /// `JWKS_URL`: the URL from which the key set is fetched and cached. An unknown key triggers a
    /// refetch at most once a minute.
    Url(String),
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

impl TableNames {
    fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            resources: variables.required("RESOURCES_TABLE")?,
            changes: variables.required("CHANGES_TABLE")?,
            sync_batches: variables.required("SYNC_BATCHES_TABLE")?,
            sync_items: variables.required("SYNC_ITEMS_TABLE")?,
            conflicts: variables.required("CONFLICTS_TABLE")?,
            submission_media: variables.required("SUBMISSION_MEDIA_TABLE")?,
            devices: variables.required("DEVICES_TABLE")?,
            unique_keys: variables.required("UNIQUE_KEYS_TABLE")?,
            audit_log: variables.required("AUDIT_LOG_TABLE")?,
        })
    }
}

impl AuthSettings {
    fn from_env(variables: Variables<'_>, keys: KeySource) -> Result<Self, SettingsError> {
        Ok(Self {
            issuer: variables.required("JWT_ISSUER")?,
            audience: variables.required("JWT_AUDIENCE")?,
            keys,
            user_claim: variables.or_default("CLAIM_USER", "sub"),
            tenant_claim: variables.or_default("CLAIM_TENANT", "tenant"),
            roles_claim: variables.or_default("CLAIM_ROLES", "roles"),
            channels_claim: variables.or_default("CLAIM_CHANNELS", "channels"),
            audience_claim: variables.or_default("CLAIM_AUDIENCE", "aud"),
            token_seconds_max: variables.number("TOKEN_SECONDS_MAX", "86400", TOKEN_SECONDS_MAX)?,
            token_type: variables.optional("TOKEN_TYPE"),
            token_use: variables.optional("TOKEN_USE"),
        })
    }
}

impl KeySource {
    fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
        match (variables.optional("JWKS"), variables.optional("JWKS_URL")) {
            (Some(keys), _) => Ok(Self::Inline(keys)),
            (None, Some(url)) => Ok(Self::Url(url)),
            (None, None) => Err(SettingsError::Missing("JWKS or JWKS_URL")),
        }
    }
}

impl MediaSettings {
    fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            bucket: variables.required("MEDIA_BUCKET")?,
            types: variables
                .or_default("MEDIA_TYPES", "image/jpeg,image/png")
                .split(',')
                .map(|media_type| media_type.trim().to_ascii_lowercase())
                .collect(),
            bytes_max: variables.number("MEDIA_BYTES_MAX", "26214400", MEDIA_BYTES_MAX)?,
            url_seconds: variables.number("MEDIA_URL_SECONDS", "900", MEDIA_URL_SECONDS_MAX)?,
            keyring: variables
                .optional("MEDIA_SECRET")
                .map(|current| keyring(&current, variables.optional("MEDIA_SECRET_PREVIOUS")))
                .transpose()?,
            accepts_old_keys: variables.choice("MEDIA_OLD_KEYS", "accept", "refuse")?,
        })
    }
}

fn keyring(current: &str, previous: Option<String>) -> Result<Keyring, SettingsError> {
    Keyring::new(current, previous.as_deref()).ok_or(SettingsError::Secret("MEDIA_SECRET"))
}
