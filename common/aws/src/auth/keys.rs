//! The keys that verify token signatures: configured inline, or fetched from a URL and cached. An
//! unknown key id triggers a refetch at most once a minute, so that requests with invented key ids
//! cost little. The whole set is refetched every hour, so that a withdrawn key expires. A set that
//! could not be fetched for a day is no longer trusted: an attacker who controls the provider's
//! address could otherwise keep a withdrawn key valid by making the provider unreachable.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector as _, SharedHttpConnector},
        orchestrator::HttpRequest,
    },
    http::Request,
};
use aws_smithy_types::body::SdkBody;
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, Header,
    jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse},
};

use crate::{error::Error, settings::KeySource, transport};

const REFETCH_SECONDS_MIN: i64 = 60;
const KEEP_SECONDS_MAX: i64 = 60 * 60;
/// The maximum age of a trusted set while it cannot be fetched.
const TRUST_SECONDS_MAX: i64 = 24 * 60 * 60;
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// The cached keys and the URL from which they are fetched.
#[derive(Debug)]
pub(super) struct Keys {
    source: Option<Source>,
    cached: Mutex<CachedKeys>,
}

#[derive(Debug)]
struct Source {
    url: String,
    connector: SharedHttpConnector,
}

#[derive(Debug, Default)]
struct CachedKeys {
    keys: Option<JwkSet>,
    fetched_at: Option<DateTime<Utc>>,
    attempted_at: Option<DateTime<Utc>>,
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

impl CachedKeys {
    fn key(&self, header: &Header) -> Option<Jwk> {
        let mut keys = self
            .keys
            .as_ref()?
            .keys
            .iter()
            .filter(|key| is_for_verifying(key));

        match &header.kid {
            Some(id) => keys
                .find(|key| key.common.key_id.as_ref() == Some(id) && is_for(key, header.alg))
                .cloned(),
            None => keys
                .next()
                .filter(|key| keys.next().is_none() && is_for(key, header.alg))
                .cloned(),
        }
    }

    fn key_if_fresh(&self, header: &Header, now: DateTime<Utc>) -> Option<Jwk> {
        self.key(header)
            .filter(|_| self.is_younger(now, KEEP_SECONDS_MAX))
    }

    /// Returns whether the set was fetched within the last day.
    fn is_trusted(&self, now: DateTime<Utc>) -> bool {
        self.is_younger(now, TRUST_SECONDS_MAX)
    }

    fn is_younger(&self, now: DateTime<Utc>, seconds: i64) -> bool {
        self.fetched_at
            .is_some_and(|at| (now - at).num_seconds() < seconds)
    }

    /// Returns whether a refetch is allowed, at most once a minute. If so, records this attempt.
    fn may_refetch(&mut self, now: DateTime<Utc>) -> bool {
        let may = self
            .attempted_at
            .is_none_or(|attempted_at| (now - attempted_at).num_seconds() >= REFETCH_SECONDS_MIN);
        // Without a trusted set no token can be verified, so every request may refetch.
        let may = may || !self.is_trusted(now);
        if may {
            self.attempted_at = Some(now);
        }
        may
    }
}

impl Source {
    /// Fetches the key set with the HTTP connector of the SDK, so that the binary contains one TLS
    /// stack.
    async fn fetch(&self) -> Result<JwkSet, Error> {
        let outage = |what: String| {
            Error::unavailable(format!("fetching the key set from {}: {what}", self.url))
        };

        let mut request: HttpRequest = Request::new(SdkBody::empty());
        request
            .set_uri(self.url.as_str())
            .map_err(|error| outage(error.to_string()))?;

        let fetch = async {
            let response = self
                .connector
                .call(request)
                .await
                .map_err(|error| outage(format!("{error:?}")))?;
            if !response.status().is_success() {
                return Err(outage(format!("status {}", response.status().as_u16())));
            }

            use http_body_util::{BodyExt as _, Limited};
            let body = Limited::new(response.into_body(), KEY_SET_BYTES_MAX);
            Ok(body
                .collect()
                .await
                .map_err(|error| outage(error.to_string()))?
                .to_bytes())
        };

        let body = tokio::time::timeout(FETCH_TIMEOUT, fetch)
            .await
            .map_err(|_| outage("timed out".into()))??;
        read(&body)
    }
}

/// Returns whether a key may verify signatures according to its `use` and `key_ops` (RFC 7517 §4.2,
/// §4.3).
fn is_for_verifying(key: &Jwk) -> bool {
    let common = &key.common;
    matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// Returns whether a key may be used with this algorithm according to its `alg`, if it has one. RFC
/// 9864 names EdDSA by the curve, which `jsonwebtoken` reports as an unknown algorithm.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    match key.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(KeyAlgorithm::UNKNOWN_ALGORITHM) => {
            algorithm == Algorithm::EdDSA
                && matches!(key.algorithm, AlgorithmParameters::OctetKeyPair(_))
        }
        Some(_) => false,
    }
}

fn read(text: &[u8]) -> Result<JwkSet, Error> {
    // A key set is not a stored item, so the error is not `Error::Corrupt`.
    serde_json::from_slice(text)
        .map_err(|error| Error::unavailable(Error::undecoded("key set", error).to_string()))
}
