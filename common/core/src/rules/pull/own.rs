//! The own changes that a pull delivers to a device (§4.6).

use std::collections::BTreeSet;

use crate::model::{
    channel::Channel,
    receipts::{Receipts, WrittenVersion},
};

/// The rule for the own changes that a device receives. Own changes are always delivered if they
/// are folded with changes of other writers, or if the device may not know their stored result.
#[derive(Debug, Clone)]
pub enum Own {
    /// Own changes are omitted, except in these channels, in which the device has acknowledged a
    /// later position than that of its token. The device had applied the later position, so it was
    /// restored from a backup.
    Omit(BTreeSet<Channel>),
    /// Own changes are delivered unless the token has a receipt for them.
    WithoutReceipt(Receipts),
}

impl Own {
    /// Returns whether the change of `channel` that the device `made` is delivered.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use std::collections::BTreeSet;
    /// use tidemark_core::{
    ///     model::{channel::Channel, receipts::{Receipts, WrittenVersion}},
    ///     rules::pull::own::Own,
    /// };
    ///
    /// let made = |version| WrittenVersion::new(&log::meter("m-1"), version);
    /// let mut receipts = Receipts::default();
    /// receipts.add(made(1), Default::default());
    ///
    /// // The token has a receipt for version 1 only.
    /// let own = Own::WithoutReceipt(receipts);
    /// assert!(!own.delivers(&Channel::Tenant, made(1)));
    /// assert!(own.delivers(&Channel::Tenant, made(2)));
    /// // A device that was restored from a backup receives its changes of the channel again.
    /// assert!(Own::Omit(BTreeSet::from([Channel::Tenant])).delivers(&Channel::Tenant, made(1)));
    /// ```
    pub fn delivers(&self, channel: &Channel, made: WrittenVersion) -> bool {
        match self {
            Self::Omit(went_back_in) => went_back_in.contains(channel),
            Self::WithoutReceipt(receipts) => !receipts.holds(made),
        }
    }
}
