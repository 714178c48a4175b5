//! Compares a page of a channel's resources with its change log.

use chrono::{DateTime, Duration, Utc};
use tidemark_aws::{Context, Error, tables::ResourceVersions};
use tidemark_core::{
    model::{
        channel::Scope,
        limits::{STATUS_BYTES_MAX, STATUS_COMPARED_MAX, STATUS_SECONDS_MAX, STATUS_SEGMENTS_MAX},
        repair::{Extent, Period},
    },
    rules::sequence::{plan::Head, repair::Comparison},
    wire::status::LogComparison,
};

use crate::compare::{LogCoverage, ReadLimit, read_backward};

/// A page of a channel's resources that was compared with the log.
pub(super) struct ComparedPage {
    /// The head of the log, if the channel has one.
    pub(super) head: Option<Head>,
    /// The result of the comparison.
    pub(super) comparison: LogComparison,
    /// The sort key of the last resource of the page, if there are more.
    pub(super) next: Option<String>,
}

/// Compares the resources after the sort key `after` with the log of their channel. Reads the rows
/// before the head, so that concurrently sequenced changes are seen.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
/// cannot be decoded.
pub(super) async fn compare_page(
    context: &Context,
    scope: &Scope,
    after: Option<String>,
    now: DateTime<Utc>,
) -> Result<ComparedPage, Error> {
    let tables = &context.tables;
    let after = after.map(|sort_key| [scope.partition(), sort_key]);
    // The extra day tolerates clock skew: changes that a writer with a faster clock just made are
    // included.
    let period = Period {
        from: now - context.settings.log_retention,
        until: now + Duration::days(1),
    };
    let extent = Extent::Channel(scope.clone());

    let mut page = tables
        .resources
        .resource_versions(&extent, period, after.as_ref(), STATUS_COMPARED_MAX)
        .await?;
    let head = tables
        .changes
        .heads(std::slice::from_ref(scope))
        .await?
        .pop()
        .flatten();

    let next = page.next.take().map(|[_, sort_key]| sort_key);
    let comparison = compare(context, scope, head.as_ref(), page, now).await?;
    Ok(ComparedPage {
        head,
        comparison,
        next,
    })
}

/// Compares resources with the log of their channel, as far back as the bounds allow.
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
