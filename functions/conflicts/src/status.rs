//! Serves `GET /status`: the state of a tenant's change logs, and the number of dead letters.

use chrono::{DateTime, Duration, Utc};
use lambda_http::Request;
use tidemark_app::compare::{LogCoverage, ReadLimit, read_backward};
use tidemark_aws::{Context, Error, http, tables::ResourceVersions};
use tidemark_core::{
    model::{
        channel::{Channel, Scope},
        limits::{STATUS_BYTES_MAX, STATUS_COMPARED_MAX, STATUS_SECONDS_MAX, STATUS_SEGMENTS_MAX},
        principal::Principal,
        resource::ResourceKey,
    },
    rules::sequence::{
        plan::Head,
        repair::{Comparison, Period},
    },
    wire::{
        cursor,
        problem::Problem,
        repair::Extent,
        status::{ChannelStatus, FailureCount, LogComparison, StatusResponse},
    },
};

/// The prefix under which functions with a stream as event source store dead letters.
const DEAD_LETTERED: &str = "set-aside/";
/// The prefix under which Lambda stores events after its last retry.
const GIVEN_UP: &str = "aws/lambda/";

/// Returns the status of all channels, or of the channel in the query.
pub(crate) async fn show(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<StatusResponse, Error> {
    http::admin(principal)?;
    let channel = http::query_parameter(request, "channel").map(|text| {
        Channel::parse(text).ok_or_else(|| {
            Problem::malformed("channel", "must be tenant, user/<sub> or group/<name>")
        })
    });

    let now = context.clock.now();
    let (channels, next_cursor) = match channel.transpose()? {
        None => list(context, request, principal, now).await?,
        Some(channel) => {
            let scope = Scope {
                tenant: principal.tenant.clone(),
                channel,
            };
            let (status, next_cursor) = compared(context, request, &scope, now).await?;
            (vec![status], next_cursor)
        }
    };

    let (set_aside, given_up) = (
        count(context, DEAD_LETTERED).await?,
        count(context, GIVEN_UP).await?,
    );

    Ok(StatusResponse {
        server_time: now,
        channels,
        next_cursor,
        set_aside,
        given_up,
    })
}

async fn count(context: &Context, prefix: &str) -> Result<FailureCount, Error> {
    match &context.dead_letters {
        Some(dead_letters) => dead_letters.count(prefix).await,
        None => Err(Error::Unavailable(
            "the function has no dead-letter bucket".into(),
        )),
    }
}

/// Returns a page of the tenant's channels without a comparison with their resources.
async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
    now: DateTime<Utc>,
) -> Result<(Vec<ChannelStatus>, Option<String>), Error> {
    const QUERY: &str = "status";
    let limit = http::list_limit(request)?;
    let tenant = &principal.tenant;

    let after = super::after::<1>(request, QUERY)?.map(|[text]| {
        let channel = Channel::parse(&text).ok_or_else(super::invalid_cursor)?;
        Ok::<_, Problem>(Scope {
            tenant: tenant.clone(),
            channel,
        })
    });

    let changes = &context.tables.changes;
    let (scopes, more) = changes
        .channels(tenant, after.transpose()?.as_ref(), limit)
        .await?;
    let heads = changes.heads(&scopes).await?;

    let next_cursor = scopes
        .last()
        .filter(|_| more)
        .map(|last| cursor::encode(QUERY, [&last.channel.to_string()]));
    Ok((
        scopes
            .iter()
            .zip(heads)
            .map(|(scope, head)| status(scope, head.as_ref(), now))
            .collect(),
        next_cursor,
    ))
}

fn status(scope: &Scope, head: Option<&Head>, now: DateTime<Utc>) -> ChannelStatus {
    ChannelStatus {
        channel: scope.channel.to_string(),
        head_moved_at: head.map(|head| head.moved_at),
        head_age_seconds: head.map(|head| (now - head.moved_at).num_seconds().max(0)),
        repaired_at: head.and_then(|head| head.repaired_at),
        comparison: None,
    }
}

/// Returns the status of one channel, with a page of its resources compared with its log. Reads the
/// rows before the head, so that concurrently sequenced changes are seen.
async fn compared(
    context: &Context,
    request: &Request,
    scope: &Scope,
    now: DateTime<Utc>,
) -> Result<(ChannelStatus, Option<String>), Error> {
    let query = format!("status?channel={}", scope.channel);
    let after = super::after::<1>(request, &query)?.map(|[sort_key]| {
        ResourceKey::parse(scope, &sort_key).ok_or_else(super::invalid_cursor)?;
        Ok::<_, Problem>([scope.partition(), sort_key])
    });

    let tables = &context.tables;
    let from = now - context.settings.log_retention;
    // The extra day tolerates clock skew: changes that a writer with a faster clock just made are
    // included.
    let period = Period {
        from,
        until: now + Duration::days(1),
    };
    let extent = Extent::Channel(scope.clone());

    let page = tables
        .resources
        .resource_versions(
            &extent,
            period,
            after.transpose()?.as_ref(),
            STATUS_COMPARED_MAX,
        )
        .await?;
    let head = tables
        .changes
        .heads(std::slice::from_ref(scope))
        .await?
        .pop()
        .flatten();

    let next_cursor = page
        .next
        .as_ref()
        .map(|[_, sort_key]| cursor::encode(&query, [sort_key]));
    let comparison = compare(context, scope, head.as_ref(), page, now).await?;
    Ok((
        ChannelStatus {
            comparison: Some(comparison),
            ..status(scope, head.as_ref(), now)
        },
        next_cursor,
    ))
}

/// Compares a page of resources with the log of their channel, as far back as the bounds allow.
async fn compare(
    context: &Context,
    scope: &Scope,
    head: Option<&Head>,
    page: ResourceVersions,
    now: DateTime<Utc>,
) -> Result<LogComparison, Error> {
    let mut comparison = Comparison::new(page.rows.into_iter().map(|(_, version)| version));
    let mut read = LogCoverage::Complete;
    if let Some(head) = head {
        let bound = ReadLimit {
            until: now + Duration::seconds(STATUS_SECONDS_MAX),
            segments_max: STATUS_SEGMENTS_MAX,
            bytes_max: STATUS_BYTES_MAX,
        };
        read = read_backward(context, scope, head, &mut comparison, bound).await?;
    }

    let missing = match read {
        LogCoverage::Complete => comparison.missing(),
        LogCoverage::Partial(read_until) => comparison.certainly_missing(read_until),
    };
    let oldest = missing.first().map(|version| version.changed_at);
    Ok(LogComparison {
        resources: page.looked_at,
        not_in_log: missing.len(),
        oldest_not_in_log_at: oldest,
        oldest_not_in_log_seconds: oldest.map(|oldest| (now - oldest).num_seconds().max(0)),
        is_complete: read == LogCoverage::Complete,
    })
}
