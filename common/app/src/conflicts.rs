//! Reads conflicts (§5.1): the list of a tenant's conflicts, and one conflict with the delivery of
//! its outcome.

use tidemark_aws::{Context, Error, tables::conflicts::ConflictCursor};
use tidemark_core::{
    model::{
        conflict::{Conflict, ConflictStatus},
        ids,
        principal::Principal,
    },
    rules::delivery::AwaitedVersion,
    wire::{
        conflicts::{ConflictEntry, ConflictList, fit},
        cursor,
        problem::Problem,
    },
};

use crate::{cursors, delivery};

/// Decodes the cursor of a list of conflicts with this status.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this list.
pub fn decode_cursor(
    status: ConflictStatus,
    cursor: Option<&str>,
) -> Result<Option<ConflictCursor>, Problem> {
    cursors::decode(&list_name(status), cursor)
}

/// Lists at most `limit` conflicts of the caller's tenant with this status, in the order of their
/// detection. The caller is an admin.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a payload that
/// is stored in a row of its own cannot be decoded.
pub async fn list(
    context: &Context,
    principal: &Principal,
    status: ConflictStatus,
    after: Option<ConflictCursor>,
    limit: usize,
) -> Result<ConflictList, Error> {
    let (mut conflicts, next) = context
        .tables
        .conflicts
        .list(&principal.tenant, status, after, limit)
        .await?;
    fit(&mut conflicts);

    let next_cursor =
        next.map(|[detected_at, id]| cursor::encode(&list_name(status), [&detected_at, &id]));
    Ok(ConflictList {
        conflicts,
        next_cursor,
    })
}

/// Returns the name of a list of conflicts in cursors.
fn list_name(status: ConflictStatus) -> String {
    format!("conflicts?status={}", status.as_str())
}

/// Returns a conflict to admins and to the user whose edits it contains. The id is a digest that
/// does not contain the user, so the conflict is read before its user is compared.
///
/// # Errors
/// Returns a 404 problem if the tenant has no conflict with this id or the caller may not read it,
/// `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be
/// decoded.
pub async fn get(
    context: &Context,
    principal: &Principal,
    id: &str,
) -> Result<ConflictEntry, Error> {
    if !ids::is_conflict(id) {
        return Err(Problem::not_found().into());
    }
    let own = Some(principal.user.as_str()).filter(|_| !principal.is_admin());

    let conflict = context
        .tables
        .conflicts
        .read(&principal.tenant, own, id)
        .await?
        .ok_or_else(Problem::not_found)?;

    let delivered = is_delivered(context, principal, &conflict).await?;
    let mut entry = ConflictEntry::whole(conflict);
    if let Some(outcome) = &mut entry.outcome {
        outcome.delivered = delivered;
    }
    Ok(entry)
}

/// Returns whether the outcome has reached the device whose edits the conflict contains, or `None`
/// if the outcome wrote no version that a pull delivers.
async fn is_delivered(
    context: &Context,
    principal: &Principal,
    conflict: &Conflict,
) -> Result<Option<bool>, Error> {
    let Some(outcome) = conflict
        .outcome
        .as_ref()
        .filter(|outcome| outcome.server_version > 0)
    else {
        return Ok(None);
    };

    let awaited = AwaitedVersion {
        resource: &conflict.resource,
        server_version: outcome.server_version,
        made_at: outcome.resolved_at,
    };
    delivery::is_delivered(
        context,
        &principal.tenant,
        &conflict.user,
        &conflict.device_id,
        &awaited,
    )
    .await
    .map(Some)
}
