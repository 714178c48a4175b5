//! Pull: heads, then the log up to them and no further, snapshots for channels the device does not
//! know. The rules stand in `tidemark-core`; this crate reads what they ask for. It publishes the
//! bounds as well: what a client meets before it pulls.

mod cursor;
mod limits;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Context, Failure, http, metrics::Metric, tables::devices::StoredDevice, telemetry,
};
use tidemark_core::{
    channel::Channel,
    principal::{Author, Principal},
    protocol::{
        problem::{Problem, ProblemCode},
        pull::{OwnChanges, PullRequest, PullResponse},
    },
    pull::{own::Own, page::Page},
    receipts::Receipts,
    token::Token,
};

use cursor::{Cursor, FillOutcome};

/// What the function is called in logs.
const NAME: &str = "pull";
/// Channels whose first read is sent at once.
const PARALLEL_READS: usize = 4;
/// Reads of one pull at most: a page whose entries are all the device's own ends there, empty, and
/// says `has_more`.
const READS_MAX: u32 = 40;

/// Answers `POST /sync/pull` and `GET /sync/limits`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    match http::route(&request).map(|route| route.path) {
        Ok("/api/v1/mobile/sync/limits") => {
            http::serve(context, NAME, &request, limits::limits(context, &request)).await
        }
        Ok(_) => http::serve(context, NAME, &request, pull(context, &request)).await,
        Err(problem) => http::reject(context, NAME, &request, problem).await,
    }
}

async fn pull(context: &Context, request: &Request) -> Result<PullResponse, Failure> {
    let principal = context.verifier.principal(request).await?;
    let pull: PullRequest = http::body(request)?;
    if let Some(device_id) = &pull.device_id {
        telemetry::device(device_id);
    }
    let (token, mut receipts) = match &pull.since_token {
        None => Default::default(),
        Some(text) => Token::decode_with(text).map_err(|error| {
            Problem::new(ProblemCode::InvalidToken, error.to_string()).at("since_token")
        })?,
    };
    let now = context.clock.now();
    let opened = open(context, &principal, &token, now).await?;
    let (page, cursors) = fill_for(context, &principal, &pull, &receipts, opened, now).await?;
    measure(context, &token, &page, &cursors);

    let revoked = token
        .channels
        .keys()
        .filter(|channel| cursors.iter().all(|cursor| cursor.channel() != *channel));
    let revoked = revoked.map(ToString::to_string).collect();
    let reset = cursors
        .iter()
        .filter(|cursor| cursor.is_reset())
        .map(|cursor| cursor.channel().to_string())
        .collect();
    let has_more = cursors.iter().any(|cursor| !cursor.is_caught_up());
    // Rows that are replaced take with them what the device was told of them.
    receipts = if cursors.iter().any(Cursor::is_reset) {
        Receipts::default()
    } else {
        receipts
    };
    receipts.prune(
        page.own_seen(),
        cursors.iter().map(Cursor::waits_since).min().unwrap_or(now),
    );
    let next_token = Token {
        channels: cursors.into_iter().map(Cursor::into_progress).collect(),
    }
    .encode_with(&receipts);
    let changes = page.into_changes();
    context.meter.count(Metric::PulledChanges, changes.len());
    Ok(PullResponse {
        next_token,
        changes,
        has_more,
        server_time: now,
        reset,
        revoked,
    })
}

fn measure(context: &Context, token: &Token, page: &Page, cursors: &[Cursor]) {
    let (known, unknown): (Vec<_>, Vec<_>) = cursors
        .iter()
        .partition(|cursor| token.channels.contains_key(cursor.channel()));
    let resets = known.iter().filter(|cursor| cursor.is_reset()).count();
    let meter = &context.meter;
    meter.count(Metric::Pulls, 1);
    meter.count(Metric::Snapshots, unknown.len());
    meter.count(Metric::Resets, resets);
    if let Some(oldest) = page.oldest() {
        meter.note_age(Metric::PullLag, context.clock.now() - oldest);
    }
}

/// A cursor for every channel the caller may read, the one that waits longest first, so that a busy
/// channel starves no other.
async fn open(
    context: &Context,
    principal: &Principal,
    token: &Token,
    now: DateTime<Utc>,
) -> Result<Vec<Cursor>, Failure> {
    let channels = principal.pulled_channels();
    let scopes: Vec<_> = channels
        .iter()
        .map(|channel| principal.scope(channel))
        .collect();
    let heads = context.tables.changes.heads(&scopes).await?;
    let retention = context.settings.log_retention;
    let mut cursors: Vec<_> = scopes
        .into_iter()
        .zip(heads)
        .map(|(scope, head)| {
            let progress = token.channels.get(&scope.channel);
            Cursor::open(scope, head, progress, now, retention)
        })
        .collect();
    cursors.sort_by_key(Cursor::waits_since);
    Ok(cursors)
}

/// A page for the device that asks, filled from the `opened` cursors, and how far those came.
async fn fill_for(
    context: &Context,
    principal: &Principal,
    pull: &PullRequest,
    receipts: &Receipts,
    opened: Vec<Cursor>,
    now: DateTime<Utc>,
) -> Result<(Page, Vec<Cursor>), Failure> {
    let reader = pull
        .device_id
        .as_ref()
        .map(|device_id| Author::device(&principal.user, device_id));
    let page = || Page::new(pull.limit, reader.as_ref());
    if pull.own_changes == Some(OwnChanges::Unacknowledged) {
        let (mut page, mut cursors) = (
            page().with_own(Own::Unacknowledged(receipts.clone())),
            opened,
        );
        fill(context, &mut page, &mut cursors, now).await?;
        return Ok((page, cursors));
    }
    let (mut first, mut cursors) = (page(), opened.clone());
    fill(context, &mut first, &mut cursors, now).await?;
    // Only where an own change is left out it matters how far the device was once.
    let Some(device_id) = pull.device_id.as_ref().filter(|_| first.leaves_own_out()) else {
        return Ok((first, cursors));
    };
    let device = context
        .tables
        .devices
        .load(&principal.tenant, &principal.user, device_id)
        .await?;
    let went_back_in = |device: StoredDevice| {
        opened
            .iter()
            .filter(|cursor| cursor.is_before(&device.positions))
            .map(Cursor::channel)
            .cloned()
            .collect()
    };
    let went_back_in: BTreeSet<Channel> = device.map(went_back_in).unwrap_or_default();
    if went_back_in.is_empty() {
        return Ok((first, cursors));
    }
    let (mut page, mut cursors) = (page().with_own(Own::Omit(went_back_in)), opened);
    fill(context, &mut page, &mut cursors, now).await?;
    Ok((page, cursors))
}

/// Fills the page channel by channel; the first reads of several channels are sent together.
async fn fill(
    context: &Context,
    page: &mut Page,
    cursors: &mut [Cursor],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let mut reads_left = READS_MAX;
    let mut behind: Vec<&mut Cursor> = cursors
        .iter_mut()
        .filter(|cursor| !cursor.is_caught_up())
        .collect();
    for round in behind.chunks_mut(PARALLEL_READS) {
        if page.room() == 0 || page.is_spent() {
            return Ok(());
        }
        let first = try_join_all(
            round
                .iter()
                .map(|cursor| cursor.read(context, page.room(), 0)),
        )
        .await?;
        for (cursor, first) in round.iter_mut().zip(first) {
            let mut read = first;
            let mut reads = 1;
            while cursor.take(page, read, now)? == FillOutcome::WantsMore
                && page.room() > 0
                && !page.is_spent()
                && reads_left > 0
            {
                read = cursor.read(context, page.room(), reads).await?;
                reads += 1;
                reads_left -= 1;
            }
        }
    }
    Ok(())
}
