//! The caller as the deployment identifies it (§1).

use serde::{Deserialize, Serialize};

use crate::model::principal::Principal;

/// The identity and the permissions of the caller, as its token states them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeResponse {
    /// The tenant of the caller.
    pub tenant: String,
    /// The id of the caller.
    pub user: String,
    /// The roles of the caller. `admin`, `viewer` and `operator` have a meaning; the others are
    /// the texts of the token. At most as many as a token of the gateway's maximum size contains.
    pub roles: Vec<String>,
    /// The names of the groups that the caller belongs to, at most 100.
    pub groups: Vec<String>,
    /// The channels that a pull delivers to the caller: the tenant's, its own, and those of its
    /// groups by name.
    pub channels: Vec<String>,
}

impl From<Principal> for MeResponse {
    fn from(principal: Principal) -> Self {
        let channels = principal.pulled_channels();
        Self {
            channels: channels.iter().map(ToString::to_string).collect(),
            tenant: principal.tenant,
            user: principal.user,
            roles: principal.roles,
            groups: principal.groups,
        }
    }
}
