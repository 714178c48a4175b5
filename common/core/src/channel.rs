//! Channels (§2): the unit of ordering, of partial sync and of permission.

use std::fmt;

use crate::{key, limits::is_name};

/// One channel of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Everyone in the tenant.
    Tenant,
    /// One user, named by `sub`.
    User(String),
    /// A group, named in its members' claims.
    Group(String),
}

impl Channel {
    /// Reads `tenant`, `user/<sub>` or `group/<name>`; `None` for anything else, an empty name or
    /// one over 256 bytes.
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

    /// The partition key `tenant#channel` in a tenant.
    pub fn partition(&self, tenant: &str) -> String {
        key::join([tenant, &self.to_string()])
    }

    /// Whose it is, of a user or a group.
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

/// A channel with its tenant: the partition its resources and its change log live in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Who owns everything in it.
    pub tenant: String,
    /// Which of the tenant's channels.
    pub channel: Channel,
}

impl Scope {
    /// The partition key `tenant#channel`.
    pub fn partition(&self) -> String {
        self.channel.partition(&self.tenant)
    }

    /// Reads a [`partition`](Self::partition) key back.
    pub fn parse(partition: &str) -> Option<Self> {
        let [tenant, channel] = key::split(partition)?;
        Some(Self {
            tenant,
            channel: Channel::parse(&channel)?,
        })
    }
}
