//! Receipts (§4.6): the changes that a device made and knows from the responses to its pushes. They
//! are part of the device's token, so that the device's state and the receipts for it are stored,
//! lost and restored together.

use chrono::{DateTime, Utc};

use crate::model::{json, limits::RECEIPTS_MAX, resource::ResourceKey};

/// A day in milliseconds. Every change enters the log within a day (§4.8): once a pull has read
/// more than a day past a receipt, the receipt is no longer needed.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A version of a resource, with the resource as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenVersion(u64, u64);

impl WrittenVersion {
    /// Returns the identifier of this version of `resource`.
    pub fn new(resource: &ResourceKey, server_version: u64) -> Self {
        let digest = json::digest([resource.channel.to_string(), resource.sort_key()]);
        // 48 bits, a number that every JSON parser preserves.
        Self(
            digest
                .iter()
                .take(6)
                .fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
            server_version,
        )
    }
}

/// A version that the device wrote and was confirmed to it, as (resource hash, version,
/// confirmation time in milliseconds since 1970). Each version is made by exactly one push, so the
/// receipt belongs to that push and no other, even if two devices share an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Receipt(u64, u64, i64);

impl Receipt {
    fn made(self) -> WrittenVersion {
        WrittenVersion(self.0, self.1)
    }
}

/// The receipts of a token, oldest first; at most [`RECEIPTS_MAX`]. A missing receipt causes a
/// redundant delivery to the device, but loses no data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts(Vec<Receipt>);

impl Receipts {
    /// Creates receipts from their numbers (resource hash, version, confirmation time), oldest
    /// first. Receipts above the bound are dropped, the oldest first.
    pub fn from_numbers(receipts: Vec<(u64, u64, i64)>) -> Self {
        let excess = receipts.len().saturating_sub(RECEIPTS_MAX);
        let receipts = receipts.into_iter().skip(excess);
        Self(
            receipts
                .map(|(resource, version, at)| Receipt(resource, version, at))
                .collect(),
        )
    }

    /// Returns the numbers of each receipt (resource hash, version, confirmation time), oldest
    /// first.
    pub fn numbers(&self) -> impl Iterator<Item = (u64, u64, i64)> {
        self.0
            .iter()
            .map(|Receipt(resource, version, at)| (*resource, *version, *at))
    }

    /// Returns whether there are no receipts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the device has a receipt for this version.
    pub fn holds(&self, made: WrittenVersion) -> bool {
        self.0.iter().any(|receipt| receipt.made() == made)
    }

    /// Adds a receipt for a version that a response confirms at `confirmed_at`; the oldest receipts
    /// above the bound are dropped.
    pub fn add(&mut self, made: WrittenVersion, confirmed_at: DateTime<Utc>) {
        self.0.retain(|receipt| receipt.made() != made);
        self.0
            .push(Receipt(made.0, made.1, confirmed_at.timestamp_millis()));

        let excess = self.0.len().saturating_sub(RECEIPTS_MAX);
        self.0.drain(..excess);
    }

    /// Removes the receipts that are no longer needed once a pull has passed `seen` in the log and,
    /// in every channel, a change made at `reached`.
    pub fn prune(&mut self, seen: &[WrittenVersion], reached: DateTime<Utc>) {
        let oldest = reached.timestamp_millis().saturating_sub(DAY_MS);
        self.0
            .retain(|receipt| receipt.2 >= oldest && !seen.contains(&receipt.made()));
    }
}

#[cfg(test)]
mod tests;
