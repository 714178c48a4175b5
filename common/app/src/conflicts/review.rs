//! Reads a conflict for a person who is about to resolve it (§5).

use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::{
        conflict::{Conflict, ConflictBase},
        ids,
        principal::Principal,
        resource::Resource,
    },
    wire::problem::Problem,
};

use super::{base, is_delivered};
use crate::{delivery::ReadAllowance, resolve};

/// A conflict with everything on which a decision about it depends.
#[derive(Debug)]
pub struct ConflictReview {
    /// The conflict with all its edits.
    pub conflict: Conflict,
    /// The resource as it is now; `None` if there is none.
    pub current: Option<Resource>,
    /// The content that the device had when it made the edits, if it is known.
    pub base: Option<ConflictBase>,
    /// Whether the outcome has reached the device; `None` if the conflict is open, or if the
    /// outcome wrote no version.
    pub delivered: Option<bool>,
}

impl ConflictReview {
    /// Returns the version of the resource that is reviewed; 0 if there is no resource.
    pub fn server_version(&self) -> u64 {
        let current = self.current.as_ref();
        current.map_or(0, |resource| resource.server_version)
    }
}

/// Returns a conflict of the caller's tenant, with its resource as it is now. The caller is a
/// reader of the tenant.
///
/// # Errors
/// Returns a 404 problem if the tenant has no conflict with this id, `Error::Unavailable` if
/// DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be decoded.
pub async fn review(
    context: &Context,
    principal: &Principal,
    id: &str,
) -> Result<ConflictReview, Error> {
    if !ids::is_conflict(id) {
        return Err(Problem::not_found().into());
    }

    let tenant = &principal.tenant;
    let conflict = context
        .tables
        .conflicts
        .read(tenant, None, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let current = resolve::load_resource(context, &conflict, tenant).await?;

    let allowance = ReadAllowance::default();
    let delivered = is_delivered(context, principal, &conflict, &allowance).await?;
    let base = base::base(context, principal, &conflict, &allowance).await?;

    Ok(ConflictReview {
        conflict,
        current,
        base,
        delivered,
    })
}
