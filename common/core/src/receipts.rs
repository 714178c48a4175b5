//! Receipts (§4.6): which of its own changes a device was told of by the responses to its pushes.
//! They stand in its token, so that what it has and what its token says of it are stored, lost and
//! restored together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{json, limits::RECEIPTS_MAX, resource::ResourceKey};

/// A day, in milliseconds. Every change enters the log within a day (§4.8): where a pull has read
/// further behind a receipt than that, nothing is left for it.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A version of a resource, with its resource as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenVersion(u64, u64);

impl WrittenVersion {
    /// That version of that resource.
    pub fn new(resource: &ResourceKey, server_version: u64) -> Self {
        let digest = json::digest([resource.channel.to_string(), resource.sort_key()]);
        // 48 bits: a number that every JSON parser keeps.
        Self(
            digest
                .iter()
                .take(6)
                .fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
            server_version,
        )
    }
}

/// The device was told of this version, which it made, at this moment in milliseconds since 1970. A
/// version is made by one push, so that the receipt is for that push and no other, also where two
/// devices share an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Receipt(u64, u64, i64);

impl Receipt {
    fn made(self) -> WrittenVersion {
        WrittenVersion(self.0, self.1)
    }
}

/// The receipts of a token, the oldest first; at most [`RECEIPTS_MAX`]. One that is missing costs a
/// delivery that the device does not need, and loses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Receipt>")]
pub struct Receipts(Vec<Receipt>);

impl From<Vec<Receipt>> for Receipts {
    fn from(mut receipts: Vec<Receipt>) -> Self {
        receipts.drain(..receipts.len().saturating_sub(RECEIPTS_MAX));
        Self(receipts)
    }
}

impl Receipts {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the device was told of this version.
    pub fn holds(&self, made: WrittenVersion) -> bool {
        self.0.iter().any(|receipt| receipt.made() == made)
    }

    /// Adds the receipt for what the device is told of at the moment `told_at`; the oldest beyond
    /// the bound is dropped.
    pub fn add(&mut self, made: WrittenVersion, told_at: DateTime<Utc>) {
        self.0.retain(|receipt| receipt.made() != made);
        self.0
            .push(Receipt(made.0, made.1, told_at.timestamp_millis()));
        let excess = self.0.len().saturating_sub(RECEIPTS_MAX);
        self.0.drain(..excess);
    }

    /// What is left once a pull has passed `seen` in the log and, in every channel, a change of the
    /// moment `reached`.
    pub fn prune(&mut self, seen: &[WrittenVersion], reached: DateTime<Utc>) {
        let oldest = reached.timestamp_millis().saturating_sub(DAY_MS);
        self.0
            .retain(|receipt| receipt.2 >= oldest && !seen.contains(&receipt.made()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;

    fn made(id: &str, server_version: u64) -> WrittenVersion {
        WrittenVersion::new(
            &ResourceKey {
                channel: Channel::Tenant,
                resource_type: "meter".into(),
                id: id.into(),
            },
            server_version,
        )
    }

    fn moment(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + 3600 * hours, 0).expect("a moment")
    }

    #[test]
    fn receipt_is_for_one_version() {
        let mut receipts = Receipts::default();
        receipts.add(made("m", 2), moment(0));
        assert!(receipts.holds(made("m", 2)));
        assert!(!receipts.holds(made("m", 3)) && !receipts.holds(made("n", 2)));
    }

    #[test]
    fn oldest_receipts_are_dropped_first() {
        let mut receipts = Receipts::default();
        (0..=RECEIPTS_MAX as u64).for_each(|version| receipts.add(made("m", version), moment(0)));
        assert_eq!(
            (
                receipts.0.len(),
                receipts.holds(made("m", 0)),
                receipts.holds(made("m", 1))
            ),
            (RECEIPTS_MAX, false, true)
        );
        receipts.add(made("m", 1), moment(1));
        receipts.add(made("m", 999), moment(1));
        assert!(
            receipts.holds(made("m", 1)) && !receipts.holds(made("m", 2)),
            "a receipt that comes again is the newest"
        );
    }

    #[test]
    fn receipts_that_were_passed_are_pruned() {
        let mut receipts = Receipts::default();
        [(1, 0), (2, 20), (3, 20)]
            .into_iter()
            .for_each(|(version, at)| receipts.add(made("m", version), moment(at)));
        receipts.prune(&[made("m", 2), made("n", 3)], moment(24));
        assert!(
            receipts.holds(made("m", 1))
                && !receipts.holds(made("m", 2))
                && receipts.holds(made("m", 3))
        );
        receipts.prune(&[], moment(25));
        assert!(!receipts.holds(made("m", 1)) && receipts.holds(made("m", 3)));
        receipts.prune(&[], DateTime::<Utc>::MIN_UTC);
        assert!(receipts.holds(made("m", 3)));
    }

    #[test]
    fn more_receipts_than_allowed_are_cut() {
        let many: Vec<Receipt> = (0..1000).map(|version| Receipt(1, version, 0)).collect();
        let read: Receipts =
            serde_json::from_str(&serde_json::to_string(&many).expect("JSON")).expect("receipts");
        assert_eq!(
            (read.0.len(), read.0.last().map(|receipt| receipt.1)),
            (RECEIPTS_MAX, Some(999))
        );
    }
}
