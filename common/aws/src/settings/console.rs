//! The settings for the sign-in of the admin console (docs/console.md).

use chrono::{DateTime, Utc};
use tidemark_core::model::principal::Principal;

use super::{SettingsError, Variables};

/// Returns a token for a user that the caller of the local runner names, or `None` if it cannot be
/// signed.
pub type MintToken = fn(&Principal, DateTime<Utc>) -> Option<String>;

/// The settings for the sign-in of the console. Without a provider and without development sign-in,
/// the console is disabled.
#[derive(Debug, Clone, Default)]
pub struct ConsoleSettings {
    /// The identity provider, if `CONSOLE_CLIENT_ID` is set.
    pub provider: Option<ProviderSettings>,
    /// Signs development tokens for the form of the local runner. No variable sets it: a deployment
    /// has no code that signs tokens.
    pub development: Option<MintToken>,
}

/// The OpenID Connect provider with which users sign in.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// `CONSOLE_CLIENT_ID`: the id of the console as a client of the provider. A public client,
    /// without a secret.
    pub client_id: String,
    /// `CONSOLE_AUTHORIZE_URL`: the authorization endpoint.
    pub authorize_url: String,
    /// `CONSOLE_TOKEN_URL`: the token endpoint.
    pub token_url: String,
    /// `CONSOLE_LOGOUT_URL`: the address to which a browser is sent after sign-out. If it is not
    /// set, the console shows a page of its own.
    pub logout_url: Option<String>,
    /// `CONSOLE_SCOPES`: the requested scopes, separated by spaces. Defaults to `openid`.
    pub scopes: String,
    /// `CONSOLE_TOKEN`: whether the `id` token (the default) authorizes the user, and not the
    /// `access` token.
    pub is_id_token: bool,
}

impl ConsoleSettings {
    pub(super) fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
        let Some(client_id) = variables.optional("CONSOLE_CLIENT_ID") else {
            return Ok(Self::default());
        };

        let provider = ProviderSettings {
            client_id,
            authorize_url: variables.required("CONSOLE_AUTHORIZE_URL")?,
            token_url: variables.required("CONSOLE_TOKEN_URL")?,
            logout_url: variables.optional("CONSOLE_LOGOUT_URL"),
            scopes: variables.or_default("CONSOLE_SCOPES", "openid"),
            is_id_token: variables.choice("CONSOLE_TOKEN", "id", "access")?,
        };
        Ok(Self {
            provider: Some(provider),
            development: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<ConsoleSettings, String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ConsoleSettings::from_env(Variables(&variable)).map_err(|error| error.to_string())
    }

    #[test]
    fn console_without_client_is_disabled() {
        let url = ("CONSOLE_TOKEN_URL", "https://a.example/token");
        for set in [&[][..], &[url], &[("CONSOLE_CLIENT_ID", ""), url]] {
            let console = read(set).expect("settings");
            assert!(console.provider.is_none() && console.development.is_none());
        }
    }

    #[test]
    fn client_requires_both_endpoints() {
        let client = ("CONSOLE_CLIENT_ID", "c");
        let authorize = ("CONSOLE_AUTHORIZE_URL", "https://a.example/authorize");
        let token = ("CONSOLE_TOKEN_URL", "https://a.example/token");
        for (set, missing) in [
            ([client, token], "CONSOLE_AUTHORIZE_URL"),
            ([client, authorize], "CONSOLE_TOKEN_URL"),
        ] {
            let error = read(&set).expect_err("an endpoint is missing");
            assert!(error.contains(missing), "{error}");
        }

        let console = read(&[client, authorize, token]).expect("settings");
        let provider = console.provider.expect("a provider");
        assert_eq!(
            (provider.scopes.as_str(), provider.is_id_token),
            ("openid", true)
        );
        assert!(read(&[client, authorize, token, ("CONSOLE_TOKEN", "both")]).is_err());
    }
}
