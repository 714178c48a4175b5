//! The settings for uploads (§6).

use tidemark_core::{model::limits::MEDIA_BYTES_MAX, rules::media::Keyring};

use super::{SettingsError, Variables};

/// The maximum validity of an upload URL, in seconds (§6).
const MEDIA_URL_SECONDS_MAX: u64 = 900;

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

impl MediaSettings {
    pub(super) fn from_env(variables: Variables<'_>) -> Result<Self, SettingsError> {
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
