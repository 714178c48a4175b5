//! The secrets that authenticate media keys. A deployment signs with its current secret and also
//! accepts keys of the previous one, so that a rotation does not invalidate keys in devices'
//! queues.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::model::limits::MEDIA_SECRET_BYTES_MIN;

/// Bytes of the MAC in a key: HMAC-SHA-256, truncated to 128 bits.
pub(super) const MAC_BYTES: usize = 16;

/// Separates these MACs from any other use of the same secret.
const DOMAIN: &[u8] = b"tidemark media key 1\n";

/// The current secret, and the previous one during a rotation. `Debug` reveals neither.
#[derive(Clone)]
pub struct Keyring {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl Keyring {
    /// Returns the keyring of these secrets, or `None` if a secret has fewer than
    /// [`MEDIA_SECRET_BYTES_MIN`] bytes.
    ///
    /// # Example
    ///
    /// ```
    /// use tidemark_core::rules::media::{Keyring, MediaKey};
    /// use uuid::Uuid;
    ///
    /// let [old, new] = ["old".repeat(12), "new".repeat(12)];
    /// let before = Keyring::new(&old, None).unwrap();
    /// let key = MediaKey::new("acme", "ana", Uuid::nil(), 9, "image/png", &before);
    ///
    /// // Keys that were issued before the rotation stay valid until the old secret is dropped.
    /// assert!(key.is_authentic(&Keyring::new(&new, Some(&old)).unwrap()));
    /// assert!(!key.is_authentic(&Keyring::new(&new, None).unwrap()));
    /// assert!(Keyring::new("short", None).is_none());
    /// ```
    pub fn new(current: &str, previous: Option<&str>) -> Option<Self> {
        let previous = match previous {
            Some(previous) => Some(keyed(previous)?),
            None => None,
        };
        Some(Self {
            current: keyed(current)?,
            previous,
        })
    }

    /// Returns the MAC of `text` under the current secret.
    pub(super) fn authenticate(&self, text: &str) -> [u8; MAC_BYTES] {
        let mac = self
            .current
            .clone()
            .chain_update(text)
            .finalize()
            .into_bytes();
        std::array::from_fn(|at| mac[at])
    }

    /// Returns whether the MAC matches `text` under one of the secrets. Compares in constant time.
    pub(super) fn verifies(&self, text: &str, mac: &[u8; MAC_BYTES]) -> bool {
        let mut keyed = std::iter::once(&self.current).chain(&self.previous);
        keyed.any(|keyed| {
            keyed
                .clone()
                .chain_update(text)
                .verify_truncated_left(mac)
                .is_ok()
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

fn keyed(secret: &str) -> Option<Hmac<Sha256>> {
    let secret = Some(secret.as_bytes()).filter(|secret| secret.len() >= MEDIA_SECRET_BYTES_MIN)?;
    Hmac::new_from_slice(secret)
        .ok()
        .map(|keyed: Hmac<Sha256>| keyed.chain_update(DOMAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one secret with thirty-two bytes";
    const OTHER: &str = "another secret, with a few bytes more";

    fn keyring(current: &str, previous: Option<&str>) -> Keyring {
        Keyring::new(current, previous).expect("long enough")
    }

    #[test]
    fn previous_secret_verifies_until_it_is_dropped() {
        let mac = keyring(ONE, None).authenticate("a key");
        assert!(keyring(ONE, None).verifies("a key", &mac));
        assert!(keyring(OTHER, Some(ONE)).verifies("a key", &mac));
        assert!(!keyring(OTHER, None).verifies("a key", &mac));
        assert!(!keyring(ONE, None).verifies("another key", &mac));
        assert_ne!(keyring(OTHER, Some(ONE)).authenticate("a key"), mac);
    }

    #[test]
    fn short_secrets_are_rejected() {
        assert!(Keyring::new(&ONE[1..], None).is_none());
        assert!(Keyring::new(ONE, Some("")).is_none());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", keyring(ONE, Some(OTHER))), "Keyring");
    }
}
