//! Who is calling (§1), and what that lets them touch (§2).

use serde::{Deserialize, Serialize};

use crate::{
    channel::{Channel, Scope},
    key,
};

/// The one role that has a meaning.
const ADMIN: &str = "admin";

/// The caller, as their verified token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Whose rows the caller may reach at all.
    pub tenant: String,
    /// The `sub` of the token.
    pub user: String,
    /// `admin` may read and write every channel of the tenant.
    pub roles: Vec<String>,
    /// Names of the groups the caller belongs to.
    pub groups: Vec<String>,
}

impl Principal {
    /// Whether the caller holds the role `admin`.
    pub fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == ADMIN)
    }

    /// Whether the caller may read and write `channel` of their tenant.
    pub fn may_use(&self, channel: &Channel) -> bool {
        self.is_admin() || self.is_member(channel)
    }

    /// Whether the caller may read and write `channel` without the role `admin` too.
    pub fn is_member(&self, channel: &Channel) -> bool {
        match channel {
            Channel::Tenant => true,
            Channel::User(user) => *user == self.user,
            Channel::Group(name) => self.groups.contains(name),
        }
    }

    /// The same caller without the role `admin`.
    #[must_use]
    pub fn without_admin(&self) -> Self {
        let roles = self
            .roles
            .iter()
            .filter(|role| *role != ADMIN)
            .cloned()
            .collect();
        Self {
            roles,
            ..self.clone()
        }
    }

    /// The channels a pull delivers: the tenant's, the caller's own and their groups', to admins
    /// too.
    pub fn pulled_channels(&self) -> Vec<Channel> {
        let mut channels = vec![Channel::Tenant, Channel::User(self.user.clone())];
        channels.extend(self.groups.iter().cloned().map(Channel::Group));
        channels.sort();
        channels.dedup();
        channels
    }

    /// `channel` as a partition of the caller's tenant.
    pub fn scope(&self, channel: &Channel) -> Scope {
        Scope {
            tenant: self.tenant.clone(),
            channel: channel.clone(),
        }
    }
}

/// A device of a user (§1): two users on one handset are two devices. Kept as the key
/// `user#device`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Author(String);

impl Author {
    /// The device `device_id` of `user`.
    pub fn device(user: &str, device_id: &str) -> Self {
        Self(key::join([user, device_id]))
    }

    /// An author as it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text that is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
