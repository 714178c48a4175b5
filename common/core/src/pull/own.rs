//! Which of its own changes a pull delivers to a device (§4.6).

use std::collections::BTreeSet;

use crate::{
    channel::Channel,
    receipts::{Receipts, WrittenVersion},
};

/// Which own changes of a device are delivered by themselves, besides those that every rule
/// delivers: where others are folded in, and where the device may not know what is stored.
#[derive(Debug, Clone)]
pub enum Own {
    /// Those of the channels in which the device's token stands before a position that it has
    /// acknowledged. It has applied that position once, so it went back: it was restored from a
    /// backup.
    Omit(BTreeSet<Channel>),
    /// Those for which its token has no receipt.
    Unacknowledged(Receipts),
}

impl Own {
    /// Whether the change of `channel` that the device `made` is delivered.
    pub fn delivers(&self, channel: &Channel, made: WrittenVersion) -> bool {
        match self {
            Self::Omit(went_back_in) => went_back_in.contains(channel),
            Self::Unacknowledged(receipts) => !receipts.holds(made),
        }
    }
}
