//! The status (§7.2): the state of a tenant's change logs, and the number of dead letters of the
//! deployment.

mod comparison;

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error, dead_letters::DeadLetters};
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        principal::Principal,
        resource::ResourceKey,
    },
    rules::sequence::plan::Head,
    wire::{
        cursor,
        problem::Problem,
        status::{ChannelStatus, StatusResponse},
    },
};

use crate::cursors;

/// The prefix under which functions with a stream as event source store dead letters.
const DEAD_LETTERED: &str = "set-aside/";
/// The prefix under which Lambda stores events after its last retry.
const GIVEN_UP: &str = "aws/lambda/";
/// The name of the list of channels in cursors.
const CHANNELS: &str = "status";

/// Decodes the cursor of the list of channels: the channel that the page follows.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this list.
pub fn decode_cursor(cursor: Option<&str>) -> Result<Option<Channel>, Problem> {
    cursors::decode::<1>(CHANNELS, cursor)?
        .map(|[text]| Channel::parse(&text).ok_or_else(cursors::invalid))
        .transpose()
}

/// Returns the status of at most `limit` channels of the caller's tenant, without a comparison with
/// their resources. The caller is an admin or a viewer.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB or the dead-letter bucket is unavailable, and
/// `Error::Corrupt` if the head of a log cannot be decoded.
pub async fn of_channels(
    context: &Context,
    dead_letters: &DeadLetters,
    principal: &Principal,
    after: Option<Channel>,
    limit: usize,
) -> Result<StatusResponse, Error> {
    let now = context.clock.now();
    let after = after.map(|channel| scope_of(principal, channel));

    let changes = &context.tables.changes;
    let (scopes, more) = changes
        .channels(&principal.tenant, after.as_ref(), limit)
        .await?;
    let heads = changes.heads(&scopes).await?;

    let next_cursor = scopes
        .last()
        .filter(|_| more)
        .map(|last| cursor::encode(CHANNELS, [&last.channel.to_string()]));
    let channels = scopes
        .iter()
        .zip(heads)
        .map(|(scope, head)| channel_status(scope, head.as_ref(), now))
        .collect();
    response(dead_letters, now, channels, next_cursor).await
}

/// Decodes the cursor of the comparison of a channel: the sort key of the resource that the page
/// follows.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this comparison.
pub fn decode_channel_cursor(
    principal: &Principal,
    channel: &Channel,
    cursor: Option<&str>,
) -> Result<Option<String>, Problem> {
    let scope = scope_of(principal, channel.clone());
    let after = cursors::decode::<1>(&comparison_name(&scope), cursor)?.map(|[sort_key]| sort_key);
    if after
        .as_deref()
        .is_some_and(|sort_key| ResourceKey::parse(&scope, sort_key).is_none())
    {
        return Err(cursors::invalid());
    }
    Ok(after)
}

/// Returns the status of one channel of the caller's tenant, with a page of its resources compared
/// with its log. The caller is an admin or a viewer.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB or the dead-letter bucket is unavailable, and
/// `Error::Corrupt` if a segment of the log cannot be decoded.
pub async fn of_channel(
    context: &Context,
    dead_letters: &DeadLetters,
    principal: &Principal,
    channel: Channel,
    after: Option<String>,
) -> Result<StatusResponse, Error> {
    let now = context.clock.now();
    let scope = scope_of(principal, channel);

    let page = comparison::compare_page(context, &scope, after, now).await?;
    let status = ChannelStatus {
        comparison: Some(page.comparison),
        ..channel_status(&scope, page.head.as_ref(), now)
    };
    let next_cursor = page
        .next
        .map(|sort_key| cursor::encode(&comparison_name(&scope), [&sort_key]));
    response(dead_letters, now, vec![status], next_cursor).await
}

/// Returns the name of the comparison of a channel in cursors.
fn comparison_name(scope: &Scope) -> String {
    format!("status?channel={}", scope.channel)
}

fn scope_of(principal: &Principal, channel: Channel) -> Scope {
    Scope {
        tenant: principal.tenant.clone(),
        channel,
    }
}

fn channel_status(scope: &Scope, head: Option<&Head>, now: DateTime<Utc>) -> ChannelStatus {
    ChannelStatus {
        channel: scope.channel.to_string(),
        head_moved_at: head.map(|head| head.moved_at),
        head_age_seconds: head.map(|head| (now - head.moved_at).num_seconds().max(0)),
        repaired_at: head.and_then(|head| head.repaired_at),
        comparison: None,
    }
}

/// Counts the dead letters of the deployment, and returns them with the status of the channels.
async fn response(
    dead_letters: &DeadLetters,
    now: DateTime<Utc>,
    channels: Vec<ChannelStatus>,
    next_cursor: Option<String>,
) -> Result<StatusResponse, Error> {
    Ok(StatusResponse {
        server_time: now,
        channels,
        next_cursor,
        set_aside: dead_letters.count(DEAD_LETTERED).await?,
        given_up: dead_letters.count(GIVEN_UP).await?,
    })
}
