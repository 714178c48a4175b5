//! The authenticated caller (§1) and its permissions (§2).

use crate::model::{
    channel::{Channel, Scope},
    json, key,
};

/// The role that may read and write every channel of the tenant, and resolve and replay.
pub const ADMIN: &str = "admin";
/// The role that may read what an admin may read, and gains no write access.
pub const VIEWER: &str = "viewer";
/// The role that may read and repair the records of the deployment, of every tenant.
pub const OPERATOR: &str = "operator";

/// The caller, as its verified token states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose rows the caller may access.
    pub tenant: String,
    /// The user: the `sub` of the token.
    pub user: String,
    /// The roles. [`ADMIN`], [`VIEWER`] and [`OPERATOR`] have a meaning.
    pub roles: Vec<String>,
    /// The names of the groups that the caller belongs to.
    pub groups: Vec<String>,
}

impl Principal {
    /// Returns whether the caller has the role `admin`.
    pub fn is_admin(&self) -> bool {
        self.has_role(ADMIN)
    }

    /// Returns whether the caller may read everything in its tenant: it has the role `viewer` or
    /// `admin`.
    pub fn is_viewer(&self) -> bool {
        self.is_admin() || self.has_role(VIEWER)
    }

    /// Returns whether the caller has the role `operator`, which no other role contains.
    pub fn is_operator(&self) -> bool {
        self.has_role(OPERATOR)
    }

    fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role == name)
    }

    /// Returns whether the caller may read the resources of `channel` of its tenant.
    pub fn may_read(&self, channel: &Channel) -> bool {
        self.is_viewer() || self.is_member(channel)
    }

    /// Returns whether the caller may read and write `channel` of its tenant.
    pub fn may_use(&self, channel: &Channel) -> bool {
        self.is_admin() || self.is_member(channel)
    }

    /// Returns whether the caller may read and write `channel` even without the role `admin`.
    pub fn is_member(&self, channel: &Channel) -> bool {
        match channel {
            Channel::Tenant => true,
            Channel::User(user) => *user == self.user,
            Channel::Group(name) => self.groups.contains(name),
        }
    }

    /// Returns the same caller without the roles that grant more than its channels: `admin`,
    /// `viewer` and `operator`.
    #[must_use]
    pub fn without_admin(&self) -> Self {
        let roles = self
            .roles
            .iter()
            .filter(|role| ![ADMIN, VIEWER, OPERATOR].contains(&role.as_str()))
            .cloned()
            .collect();
        Self {
            roles,
            ..self.clone()
        }
    }

    /// Returns the channels that a pull delivers: the tenant's, the caller's own and those of its
    /// groups, to admins too.
    pub fn pulled_channels(&self) -> Vec<Channel> {
        let mut channels = vec![Channel::Tenant, Channel::User(self.user.clone())];
        channels.extend(self.groups.iter().cloned().map(Channel::Group));
        channels.sort();
        channels.dedup();
        channels
    }

    /// Returns `channel` as a partition of the caller's tenant.
    pub fn scope(&self, channel: &Channel) -> Scope {
        Scope {
            tenant: self.tenant.clone(),
            channel: channel.clone(),
        }
    }
}

/// A device of a user (§1): two users on one handset are two devices. Stored as the key
/// `user#device`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Author(String);

impl Author {
    /// Returns the author for the device `device_id` of `user`.
    pub fn device(user: &str, device_id: &str) -> Self {
        Self(key::join([user, device_id]))
    }

    /// Returns the author with this stored text.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the text that is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn device_hash(author: &Author) -> u64 {
    let digest = json::digest([author.as_str().as_bytes()]);
    u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
}
