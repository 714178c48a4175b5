//! The settings for the authentication of callers (§1).

use super::{SettingsError, Variables};

/// The maximum token validity that can be configured, in seconds: ten years.
const TOKEN_SECONDS_MAX: u64 = 315_360_000;

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

impl AuthSettings {
    pub(super) fn from_env(
        variables: Variables<'_>,
        keys: KeySource,
    ) -> Result<Self, SettingsError> {
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
    pub(super) fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
        match (variables.optional("JWKS"), variables.optional("JWKS_URL")) {
            (Some(keys), _) => Ok(Self::Inline(keys)),
            (None, Some(url)) => Ok(Self::Url(url)),
            (None, None) => Err(SettingsError::Missing("JWKS or JWKS_URL")),
        }
    }
}
