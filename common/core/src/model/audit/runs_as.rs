//! The claims that a replay runs with.

use crate::model::principal::Principal;

/// The claims with which a replay runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsAs {
    /// The user who pushed the batch.
    pub user: String,
    /// The roles stored with the batch, without `admin` unless the request asked for it.
    pub roles: Vec<String>,
    /// The groups stored with the batch.
    pub groups: Vec<String>,
}

impl From<&Principal> for RunsAs {
    fn from(
        Principal {
            user,
            roles,
            groups,
            ..
        }: &Principal,
    ) -> Self {
        Self {
            user: user.clone(),
            roles: roles.clone(),
            groups: groups.clone(),
        }
    }
}
