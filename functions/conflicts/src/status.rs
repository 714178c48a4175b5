//! `GET /status`: how the logs of a tenant stand, and how much was put aside.

use chrono::{DateTime, Duration, Utc};
use lambda_http::Request;
use tidemark_aws::{
    Context, Failure,
    compare::{LogRead, ReadLimit, look_back},
    http,
};
use tidemark_core::{
    channel::{Channel, Scope},
    cursor,
    limits::{STATUS_BYTES_MAX, STATUS_COMPARED_MAX, STATUS_SECONDS_MAX, STATUS_SEGMENTS_MAX},
    principal::Principal,
    protocol::{
        problem::Problem,
        repair::Extent,
        status::{ChannelStatus, FailureCount, LogComparison, StatusResponse},
    },
    resource::ResourceKey,
    sequence::{
        plan::Head,
        repair::{Comparison, Period},
    },
};

/// Where the functions behind streams put what they can never handle.
const DEAD_LETTERED: &str = "set-aside/";
/// Where Lambda puts what it gives up on.
const GIVEN_UP: &str = "aws/lambda/";

/// All channels, or the one that the query names.
pub(crate) async fn show(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<StatusResponse, Failure> {
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
    let (dead_letter, given_up) = (
        count(context, DEAD_LETTERED).await?,
        count(context, GIVEN_UP).await?,
    );
    Ok(StatusResponse {
        server_time: now,
        channels,
        next_cursor,
        dead_letter,
        given_up,
    })
}

async fn count(context: &Context, prefix: &str) -> Result<FailureCount, Failure> {
    match &context.dead_letters {
        Some(dead_letters) => dead_letters.count(prefix).await,
        None => Err(Failure::Outage(
            "the function runs without the failure bucket".into(),
        )),
    }
}

/// A page of the tenant's channels, without comparing anything.
async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
    now: DateTime<Utc>,
) -> Result<(Vec<ChannelStatus>, Option<String>), Failure> {
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

/// One channel, and a page of its resources compared with its log: rows first, so that what is
/// sequenced meanwhile is seen.
async fn compared(
    context: &Context,
    request: &Request,
    scope: &Scope,
    now: DateTime<Utc>,
) -> Result<(ChannelStatus, Option<String>), Failure> {
    let query = format!("status?channel={}", scope.channel);
    let after = super::after::<1>(request, &query)?.map(|[sort_key]| {
        ResourceKey::parse(scope, &sort_key).ok_or_else(super::invalid_cursor)?;
        Ok::<_, Problem>([scope.partition(), sort_key])
    });
    let tables = &context.tables;
    let from = now - context.settings.log_retention;
    // Clocks differ: what was made this moment by another one is not left out.
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
    let mut comparison = Comparison::new(page.rows.into_iter().map(|(_, standing)| standing));
    let mut read = LogRead::Whole;
    if let Some(head) = &head {
        let bound = ReadLimit {
            until: now + Duration::seconds(STATUS_SECONDS_MAX),
            segments_max: STATUS_SEGMENTS_MAX,
            bytes_max: STATUS_BYTES_MAX,
        };
        read = look_back(context, scope, head, &mut comparison, bound).await?;
    }
    let missing = match read {
        LogRead::Whole => comparison.missing(),
        LogRead::Cut(read_until) => comparison.missing_behind(read_until),
    };
    let oldest = missing.first().map(|standing| standing.changed_at);
    let comparison = LogComparison {
        resources: page.looked_at,
        not_in_log: missing.len(),
        oldest_not_in_log_at: oldest,
        oldest_not_in_log_seconds: oldest.map(|oldest| (now - oldest).num_seconds().max(0)),
        is_complete: read == LogRead::Whole,
    };
    let next_cursor = page
        .next
        .map(|[_, sort_key]| cursor::encode(&query, [&sort_key]));
    Ok((
        ChannelStatus {
            comparison: Some(comparison),
            ..status(scope, head.as_ref(), now)
        },
        next_cursor,
    ))
}
