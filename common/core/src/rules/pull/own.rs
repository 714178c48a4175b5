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
    Unacknowledged(Receipts),
}

impl Own {
    /// Returns whether the change of `channel` that the device `made` is delivered.
    pub fn delivers(&self, channel: &Channel, made: WrittenVersion) -> bool {
        match self {
            Self::Omit(went_back_in) => went_back_in.contains(channel),
            Self::Unacknowledged(receipts) => !receipts.holds(made),
        }
    }
}
