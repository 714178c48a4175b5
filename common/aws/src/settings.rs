//! Settings of a deployment, from environment variables. `template.yaml` sets them; the local
//! runner evaluates the same template.

use chrono::Duration;
use tidemark_core::{
    catalog::{Catalog, CatalogError},
    limits::{MEDIA_BYTES_MAX, MEDIA_SECRET_BYTES_MIN},
    media::{Keyring, UploadRules},
    origins::{AllowedOrigins, OriginError},
};

/// The catalog this build was made with.
const CATALOG: &str = include_str!("../../../catalog.toml");

/// Days of a retention at most.
const DAYS_MAX: u64 = 36_500;
/// An upload URL is good for 15 minutes at most (§6).
const MEDIA_URL_SECONDS_MAX: u64 = 900;
/// The longest validity of a token that may be configured: ten years.
const TOKEN_SECONDS_MAX: u64 = 315_360_000;

/// Everything a deployment decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names of the tables.
    pub tables: TableNames,
    /// How callers are verified.
    pub auth: AuthSettings,
    /// `CATALOG`: the resource types, as TOML; by default those of `catalog.toml`, which this build
    /// was made with.
    pub catalog: Catalog,
    /// How long the change log keeps a change; older positions start over.
    pub log_retention: Duration,
    /// How long raw items and results of batches are kept.
    pub batch_retention: Duration,
    /// What may be uploaded.
    pub media: MediaSettings,
    /// `ALLOWED_ORIGINS`: the origins whose pages may use the API from a browser; none by default.
    pub allowed_origins: AllowedOrigins,
    /// `DEAD_LETTER_BUCKET`: where stream records go that can never be handled. The functions behind
    /// streams have it.
    pub failure_bucket: Option<String>,
    /// `NOTIFICATION_TOPIC`: the ARN of the topic on which decided conflicts are told of; without
    /// it nobody is told.
    pub notification_topic: Option<String>,
    /// `STACK_NAME`: as what this deployment's metrics are told from others', default `tidemark`.
    pub stack: String,
}

/// What may be uploaded (§6).
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// `MEDIA_BUCKET`: where uploads go.
    pub bucket: String,
    /// `MEDIA_TYPES`: content types, lower case.
    pub types: Vec<String>,
    /// `MEDIA_BYTES_MAX`: bytes of one upload at most.
    pub bytes_max: u64,
    /// `MEDIA_URL_SECONDS`: how long an upload URL is good for, 1 to 900.
    pub url_seconds: u64,
    /// `MEDIA_SECRET` and `MEDIA_SECRET_PREVIOUS`: what media keys are authenticated with. Only the
    /// functions that make or accept keys have it.
    pub keyring: Option<Keyring>,
    /// `MEDIA_OLD_KEYS`: whether keys without a MAC, which presigns returned before there were
    /// MACs, are still accepted: `accept` (the default) or `reject`.
    pub accepts_old_keys: bool,
}

/// Names of the tables.
#[derive(Debug, Clone)]
pub struct TableNames {
    /// `RESOURCES_TABLE`.
    pub resources: String,
    /// `CHANGES_TABLE`.
    pub changes: String,
    /// `SYNC_BATCHES_TABLE`.
    pub sync_batches: String,
    /// `SYNC_ITEMS_TABLE`.
    pub sync_items: String,
    /// `CONFLICTS_TABLE`.
    pub conflicts: String,
    /// `SUBMISSION_MEDIA_TABLE`.
    pub submission_media: String,
    /// `DEVICES_TABLE`.
    pub devices: String,
    /// `UNIQUE_KEYS_TABLE`.
    pub unique_keys: String,
    /// `AUDIT_LOG_TABLE`.
    pub audit_log: String,
}

/// How callers are verified (§1).
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// `JWT_ISSUER`: what `iss` must be.
    pub issuer: String,
    /// `JWT_AUDIENCE`: what the audience claim must be or contain.
    pub audience: String,
    /// Where the keys come from.
    pub keys: KeySource,
    /// `CLAIM_USER`, default `sub`.
    pub user_claim: String,
    /// `CLAIM_TENANT`, default `tenant`.
    pub tenant_claim: String,
    /// `CLAIM_ROLES`, default `roles`.
    pub roles_claim: String,
    /// `CLAIM_CHANNELS`, default `channels`; Cognito writes `cognito:groups`.
    pub channels_claim: String,
    /// `CLAIM_AUDIENCE`, default `aud`; Cognito's access tokens carry `client_id`.
    pub audience_claim: String,
    /// `TOKEN_SECONDS_MAX`: seconds that a token may be valid for, from when it was issued, and
    /// from now on; one day by default.
    pub token_seconds_max: u64,
    /// `TOKEN_TYPE`: what `typ` in the header of a token must be, such as `at+jwt`; any, if it is
    /// not set.
    pub token_type: Option<String>,
    /// `TOKEN_USE`: what the claim `token_use` must be, such as Cognito's `access`; any, if it is
    /// not set.
    pub token_use: Option<String>,
}

/// Where the keys come from that tokens are signed with.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `JWKS`: the key set itself.
    Inline(String),
    /// `JWKS_URL`: fetched, cached, and fetched again at most once a minute for a key that is not
    /// in it.
    Url(String),
}

/// Settings a function cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable that must be set is not.
    #[error("environment variable {0} is not set")]
    Missing(&'static str),
    /// A variable does not read.
    #[error("environment variable {0}: {1:?} is not a number from 1 to {2}")]
    Number(&'static str, String, u64),
    /// A secret is too short to authenticate anything with. Its value is not shown.
    #[error(
        "environment variables {0} and {0}_PREVIOUS: a secret has at least {MEDIA_SECRET_BYTES_MIN} bytes"
    )]
    Secret(&'static str),
    /// A variable has none of the values it may have.
    #[error("environment variable {0}: {1:?} is neither {2} nor {3}")]
    Choice(&'static str, String, &'static str, &'static str),
    /// The catalog does not read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The list of origins does not read.
    #[error("environment variable ALLOWED_ORIGINS: {0}")]
    Origins(#[from] OriginError),
}

impl Settings {
    /// What may be uploaded, under keys that `keyring` authenticates.
    pub fn allowed_media<'a>(&'a self, keyring: &'a Keyring) -> UploadRules<'a> {
        UploadRules {
            types: &self.media.types,
            bytes_max: self.media.bytes_max,
            catalog: &self.catalog,
            keyring,
        }
    }

    /// Reads the settings through `variable`, which gives a variable's value. An empty value counts
    /// as not set.
    ///
    /// # Errors
    /// [`SettingsError`] names the variable.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let optional = |name: &'static str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &'static str| optional(name).ok_or(SettingsError::Missing(name));
        let or_default = |name: &'static str, default: &str| {
            optional(name).unwrap_or_else(|| default.to_owned())
        };
        let number = |name: &'static str, default: &str, max: u64| {
            let text = or_default(name, default);
            let number = text
                .parse::<u64>()
                .ok()
                .filter(|number| (1..=max).contains(number));
            number.ok_or(SettingsError::Number(name, text, max))
        };
        let days = |name: &'static str, default: &str| {
            number(name, default, DAYS_MAX)
                .map(|days| Duration::days(i64::try_from(days).unwrap_or(i64::MAX)))
        };
        let keys = match (optional("JWKS"), optional("JWKS_URL")) {
            (Some(keys), _) => KeySource::Inline(keys),
            (None, Some(url)) => KeySource::Url(url),
            (None, None) => return Err(SettingsError::Missing("JWKS or JWKS_URL")),
        };
        Ok(Self {
            tables: TableNames {
                resources: required("RESOURCES_TABLE")?,
                changes: required("CHANGES_TABLE")?,
                sync_batches: required("SYNC_BATCHES_TABLE")?,
                sync_items: required("SYNC_ITEMS_TABLE")?,
                conflicts: required("CONFLICTS_TABLE")?,
                submission_media: required("SUBMISSION_MEDIA_TABLE")?,
                devices: required("DEVICES_TABLE")?,
                unique_keys: required("UNIQUE_KEYS_TABLE")?,
                audit_log: required("AUDIT_LOG_TABLE")?,
            },
            auth: AuthSettings {
                issuer: required("JWT_ISSUER")?,
                audience: required("JWT_AUDIENCE")?,
                keys,
                user_claim: or_default("CLAIM_USER", "sub"),
                tenant_claim: or_default("CLAIM_TENANT", "tenant"),
                roles_claim: or_default("CLAIM_ROLES", "roles"),
                channels_claim: or_default("CLAIM_CHANNELS", "channels"),
                audience_claim: or_default("CLAIM_AUDIENCE", "aud"),
                token_seconds_max: number("TOKEN_SECONDS_MAX", "86400", TOKEN_SECONDS_MAX)?,
                token_type: optional("TOKEN_TYPE"),
                token_use: optional("TOKEN_USE"),
            },
            allowed_origins: AllowedOrigins::parse(&or_default("ALLOWED_ORIGINS", ""))?,
            catalog: Catalog::parse(&or_default("CATALOG", CATALOG))?,
            log_retention: days("LOG_RETENTION_DAYS", "30")?,
            batch_retention: days("BATCH_RETENTION_DAYS", "90")?,
            media: MediaSettings {
                bucket: required("MEDIA_BUCKET")?,
                types: or_default("MEDIA_TYPES", "image/jpeg,image/png")
                    .split(',')
                    .map(|media_type| media_type.trim().to_ascii_lowercase())
                    .collect(),
                bytes_max: number("MEDIA_BYTES_MAX", "26214400", MEDIA_BYTES_MAX)?,
                url_seconds: number("MEDIA_URL_SECONDS", "900", MEDIA_URL_SECONDS_MAX)?,
                keyring: optional("MEDIA_SECRET")
                    .map(|current| keyring(&current, optional("MEDIA_SECRET_PREVIOUS")))
                    .transpose()?,
                accepts_old_keys: match or_default("MEDIA_OLD_KEYS", "accept").as_str() {
                    "accept" => true,
                    "refuse" => false,
                    other => {
                        return Err(SettingsError::Choice(
                            "MEDIA_OLD_KEYS",
                            other.to_owned(),
                            "accept",
                            "refuse",
                        ));
                    }
                },
            },
            failure_bucket: optional("FAILURE_BUCKET"),
            notification_topic: optional("NOTIFICATION_TOPIC"),
            stack: or_default("STACK_NAME", "tidemark"),
        })
    }
}

fn keyring(current: &str, previous: Option<String>) -> Result<Keyring, SettingsError> {
    Keyring::new(current, previous.as_deref()).ok_or(SettingsError::Secret("MEDIA_SECRET"))
}
