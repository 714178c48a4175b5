//! The keys that verify token signatures: configured inline, or fetched from a URL and cached. An
//! unknown key id triggers a refetch at most once a minute, so that requests with invented key ids
//! cost little. The whole set is refetched every hour, so that a withdrawn key expires. A set that
//! could not be fetched for a day is no longer trusted: an attacker who controls the provider's
//! address could otherwise keep a withdrawn key valid by making the provider unreachable.

mod cached;
mod source;

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Header, jwk::Jwk};

use crate::{error::Error, settings::KeySource, transport};

use cached::CachedKeys;
use source::{Source, read};

/// The cached keys and the URL from which they are fetched.
#[derive(Debug)]
pub(super) struct Keys {
    source: Option<Source>,
    cached: Mutex<CachedKeys>,
}

impl Keys {
    pub(super) fn new(source: &KeySource) -> Result<Self, Error> {
        Ok(match source {
            KeySource::Inline(text) => {
                let cached = CachedKeys {
                    keys: Some(read(text.as_bytes())?),
                    ..CachedKeys::default()
                };

                Self {
                    source: None,
                    cached: Mutex::new(cached),
                }
            }
            KeySource::Url(url) => {
                let connector = transport::system_connector()
                    .map_err(|error| Error::unavailable(error.to_string()))?;

                Self {
                    source: Some(Source {
                        url: url.clone(),
                        connector,
                    }),
                    cached: Mutex::default(),
                }
            }
        })
    }

    /// Returns the key that signed a token with this header: the key with its key id, or the only
    /// key of the set if the header has no id. Returns `None` if the known set does not contain the
    /// key, or if the key may not verify this kind of signature.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the key is unknown and the last fetch of the set failed,
    /// because the key may be valid then, or if the set could not be fetched for a day.
    pub(super) async fn find(
        &self,
        header: &Header,
        now: DateTime<Utc>,
    ) -> Result<Option<Jwk>, Error> {
        let Some(source) = &self.source else {
            return Ok(self.lock().key(header));
        };

        if let Some(key) = self.lock().key_if_fresh(header, now) {
            return Ok(Some(key));
        }

        let may_refetch = self.lock().may_refetch(now);
        if may_refetch {
            match source.fetch().await {
                Ok(keys) => {
                    let mut cached = self.lock();
                    (cached.keys, cached.fetched_at) = (Some(keys), Some(now));
                }
                Err(failure) => tracing::warn!(%failure, "the key set could not be fetched"),
            }
        }

        let cached = self.lock();
        match cached.key(header) {
            Some(key) if cached.is_trusted(now) => Ok(Some(key)),
            None if cached.is_trusted(now) && cached.fetched_at >= cached.attempted_at => Ok(None),
            _ => Err(Error::unavailable(format!(
                "the key set at {} could not be fetched",
                source.url
            ))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, CachedKeys> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner) // a set is replaced as a whole
    }
}
