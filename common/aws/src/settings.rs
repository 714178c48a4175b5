//! Settings of a deployment, from environment variables. `template.yaml` sets them; the local runner evaluates the same template.

use chrono::Duration;
use tidemark_core::catalog::{Catalog, CatalogError};

/// The catalog this build was made with.
const CATALOG: &str = include_str!("../../../catalog.toml");

/// Everything a deployment decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names of the tables.
    pub tables: TableNames,
    /// How callers are verified.
    pub auth: AuthSettings,
    /// The resource types.
    pub catalog: Catalog,
    /// How long the change log keeps a change; older positions start over.
    pub log_retention: Duration,
    /// How long raw items and results of batches are kept.
    pub batch_retention: Duration,
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
}

/// Where the keys come from that tokens are signed with.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `JWKS`: the key set itself.
    Inline(String),
    /// `JWKS_URL`: fetched, cached, and fetched again at most once a minute for a key that is not in it.
    Url(String),
}

/// Settings a function cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable that must be set is not.
    #[error("environment variable {0} is not set")]
    Missing(&'static str),
    /// A variable does not read.
    #[error("environment variable {0}: {1:?} is not a number of days from 1 to 36500")]
    Days(&'static str, String),
    /// The catalog does not read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Settings {
    /// Reads the settings through `variable`, which gives a variable's value. An empty value counts as not set.
    ///
    /// # Errors
    /// [`SettingsError`] names the variable.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let optional = |name: &'static str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &'static str| optional(name).ok_or(SettingsError::Missing(name));
        let or_default = |name: &'static str, default: &str| optional(name).unwrap_or_else(|| default.to_owned());
        let days = |name: &'static str, default: &str| {
            let text = or_default(name, default);
            let days = text.parse::<i64>().ok().filter(|days| (1..=36_500).contains(days));
            days.map(Duration::days).ok_or(SettingsError::Days(name, text))
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
            },
            catalog: Catalog::parse(CATALOG)?,
            log_retention: days("LOG_RETENTION_DAYS", "30")?,
            batch_retention: days("BATCH_RETENTION_DAYS", "90")?,
        })
    }
}
