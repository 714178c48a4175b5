//! Channels (§2): the unit of order, of partial synchronization and of permission.

use std::fmt;

use crate::model::{key, limits::is_name};

/// One channel of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// The channel that all users of the tenant share.
    Tenant,
    /// The channel of one user, named by `sub`.
    User(String),
    /// The channel of a group, which the claims of its members name.
    Group(String),
}

impl Channel {
    /// Parses `tenant`, `user/<sub>` or `group/<name>`; returns `None` for anything else, and for
    /// an empty name or one of more than 256 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "tenant" {
            return Some(Self::Tenant);
        }
        let (kind, name) = text.split_once('/')?;
        if !is_name(name) {
            return None;
        }
        match kind {
            "user" => Some(Self::User(name.to_owned())),
            "group" => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }

    /// Returns the partition key `tenant#channel` for this channel of `tenant`.
    pub fn partition(&self, tenant: &str) -> String {
        key::join([tenant, &self.to_string()])
    }

    /// Returns the name of the user or group; empty for the tenant's channel.
    pub fn name(&self) -> &str {
        match self {
            Self::Tenant => "",
            Self::User(name) | Self::Group(name) => name,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::User(user) => write!(f, "user/{user}"),
            Self::Group(name) => write!(f, "group/{name}"),
        }
    }
}

/// A channel with its tenant: the partition of its resources and its change log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The tenant that owns the partition.
    pub tenant: String,
    /// The channel of that tenant.
    pub channel: Channel,
}

impl Scope {
    /// Returns the partition key `tenant#channel`.
    pub fn partition(&self) -> String {
        self.channel.partition(&self.tenant)
    }

    /// Parses a [`partition`](Self::partition) key.
    pub fn parse(partition: &str) -> Option<Self> {
        let [tenant, channel] = key::split(partition)?;
        Some(Self {
            tenant,
            channel: Channel::parse(&channel)?,
        })
    }
}
