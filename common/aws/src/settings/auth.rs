//! The settings for the authentication of callers (§1).

use tidemark_core::model::principal::ADMIN;

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
    /// `ROLE_VIEWER`: the text in the roles claim that makes the caller a viewer. If it is not set,
    /// no user is a viewer. Never `admin`.
    pub viewer_role: Option<String>,
    /// `ROLE_OPERATOR`: the text in the roles claim that makes the caller an operator. If it is not
    /// set, no user is an operator. Never `admin`, which each tenant assigns to its own users.
    pub operator_role: Option<String>,
    /// `OPERATOR_TENANT`: the tenant whose users may be operators. If it is not set, users of every
    /// tenant may be.
    pub operator_tenant: Option<String>,
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

            viewer_role: role_text(variables, "ROLE_VIEWER")?,
            operator_role: role_text(variables, "ROLE_OPERATOR")?,
            operator_tenant: variables.optional("OPERATOR_TENANT"),

            token_seconds_max: variables.number("TOKEN_SECONDS_MAX", "86400", TOKEN_SECONDS_MAX)?,
            token_type: variables.optional("TOKEN_TYPE"),
            token_use: variables.optional("TOKEN_USE"),
        })
    }
}

/// Returns the text in the roles claim that grants a role, if it is set.
fn role_text(
    variables: Variables<'_>,
    name: &'static str,
) -> Result<Option<String>, SettingsError> {
    let text = variables.optional(name);
    if text.as_deref() == Some(ADMIN) {
        return Err(SettingsError::AdminText(name));
    }
    Ok(text)
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
