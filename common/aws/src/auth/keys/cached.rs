//! The cached key set: its age, and the key that verifies a token.

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, Header,
    jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse},
};

const REFETCH_SECONDS_MIN: i64 = 60;
const KEEP_SECONDS_MAX: i64 = 60 * 60;
/// The maximum age of a trusted set while it cannot be fetched.
const TRUST_SECONDS_MAX: i64 = 24 * 60 * 60;

#[derive(Debug, Default)]
pub(super) struct CachedKeys {
    pub(super) keys: Option<JwkSet>,
    pub(super) fetched_at: Option<DateTime<Utc>>,
    pub(super) attempted_at: Option<DateTime<Utc>>,
}

impl CachedKeys {
    pub(super) fn key(&self, header: &Header) -> Option<Jwk> {
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

    pub(super) fn key_if_fresh(&self, header: &Header, now: DateTime<Utc>) -> Option<Jwk> {
        self.key(header)
            .filter(|_| self.is_younger(now, KEEP_SECONDS_MAX))
    }

    /// Returns whether the set was fetched within the last day.
    pub(super) fn is_trusted(&self, now: DateTime<Utc>) -> bool {
        self.is_younger(now, TRUST_SECONDS_MAX)
    }

    fn is_younger(&self, now: DateTime<Utc>, seconds: i64) -> bool {
        self.fetched_at
            .is_some_and(|at| (now - at).num_seconds() < seconds)
    }

    /// Returns whether a refetch is allowed, at most once a minute. If so, records this attempt.
    pub(super) fn may_refetch(&mut self, now: DateTime<Utc>) -> bool {
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
