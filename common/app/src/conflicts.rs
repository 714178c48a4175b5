//! Reads conflicts (§5.1): lists of a tenant's conflicts, their number, and one conflict with its
//! base, the delivery of its outcome and the resource as it is now.

mod base;
mod review;
mod summary;

use tidemark_aws::{Context, Error, tables::conflicts::ConflictCursor};
use tidemark_core::{
    model::{
        conflict::{Conflict, ConflictFilter},
        ids, key,
        principal::Principal,
        result::ItemCode,
        time::timestamp,
    },
    rules::delivery::AwaitedVersion,
    wire::{
        conflicts::{ConflictEntry, ConflictList, fit},
        cursor,
        problem::Problem,
    },
};

pub use review::{ConflictReview, review};
pub use summary::summary;

use crate::{
    cursors,
    delivery::{self, ReadAllowance},
};

/// The maximum bytes of a time of detection in a cursor: with the suffix that makes it unique it has
/// 49 bytes. A query appends a letter to it, and a key of an index has at most 1,024 bytes.
const DETECTED_AT_BYTES_MAX: usize = 64;

/// Decodes the cursor of the list of conflicts with this filter.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this list.
pub fn decode_cursor(
    filter: &ConflictFilter,
    cursor: Option<&str>,
) -> Result<Option<ConflictCursor>, Problem> {
    let name = list_name(filter);
    let place = match filter.status.statuses() {
        [status] => {
            cursors::decode(&name, cursor)?.map(|[detected_at, sk]| (detected_at, sk, *status))
        }
        _ => cursors::decode(&name, cursor)?
            .map(|[detected_at, sk, status]| {
                let status = status.parse().map_err(|_| cursors::invalid())?;
                Ok::<_, Problem>((detected_at, sk, status))
            })
            .transpose()?,
    };

    let place = place.map(|(detected_at, sk, status)| ConflictCursor {
        detected_at,
        sk,
        status,
    });
    match place {
        Some(place) if place.detected_at.len() > DETECTED_AT_BYTES_MAX => Err(cursors::invalid()),
        place => Ok(place),
    }
}

/// Lists at most `limit` conflicts of the caller's tenant that meet the filter, in its order. The
/// caller is a reader of the tenant. A page may have fewer conflicts, or none, and a cursor.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a payload that
/// is stored in a row of its own cannot be decoded.
pub async fn list(
    context: &Context,
    principal: &Principal,
    filter: &ConflictFilter,
    after: Option<&ConflictCursor>,
    limit: usize,
) -> Result<ConflictList, Error> {
    let (mut conflicts, next) = context
        .tables
        .conflicts
        .list(&principal.tenant, filter, after, limit)
        .await?;
    fit(&mut conflicts);

    Ok(ConflictList {
        conflicts,
        next_cursor: next.map(|next| encode_cursor(filter, &next)),
    })
}

/// Returns the cursor of a list. Only a list of several statuses needs the status of the place.
fn encode_cursor(filter: &ConflictFilter, place: &ConflictCursor) -> String {
    let (name, place_status) = (list_name(filter), place.status.as_str());
    match filter.status.statuses() {
        [_] => cursor::encode(&name, [&place.detected_at, &place.sk]),
        _ => cursor::encode(&name, [&place.detected_at, &place.sk, place_status]),
    }
}

/// Returns the name of a list of conflicts in cursors. It contains every condition, so that a list
/// with other conditions rejects the cursor. Lists by status alone keep the name that they had
/// before there were other conditions.
fn list_name(filter: &ConflictFilter) -> String {
    let status = filter.status.as_str();
    if filter.is_plain() {
        return format!("conflicts?status={status}");
    }

    // No value is empty, so an empty part is a missing condition.
    let of = |value: &Option<String>| value.clone().unwrap_or_default();
    let time = |time: Option<_>| time.map(timestamp).unwrap_or_default();
    let conditions = key::join([
        status,
        filter.order.as_str(),
        &of(&filter.resource_type),
        &of(&filter.channel.as_ref().map(ToString::to_string)),
        &of(&filter.user),
        &of(&filter.device_id),
        filter.code.map_or("", ItemCode::as_str),
        &of(&filter.resource_id),
        &time(filter.detected_from),
        &time(filter.detected_until),
    ]);
    format!("conflicts?filter={conditions}")
}

/// Returns a conflict to admins, to viewers and to the user whose edits it contains. The id is a
/// digest that does not contain the user, so the conflict is read before its user is compared.
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
    let own = Some(principal.user.as_str()).filter(|_| !principal.is_viewer());

    let conflict = context
        .tables
        .conflicts
        .read(&principal.tenant, own, id)
        .await?
        .ok_or_else(Problem::not_found)?;

    let allowance = ReadAllowance::default();
    let delivered = is_delivered(context, principal, &conflict, &allowance).await?;
    let base = base::base(context, principal, &conflict, &allowance).await?;

    let mut entry = ConflictEntry::whole(conflict, base);
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
    allowance: &ReadAllowance,
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
        allowance,
    )
    .await
    .map(Some)
}
