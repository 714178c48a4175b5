//! Pull: returns the changes of the log up to the heads that were read first, and snapshots of
//! channels that are new to the device. `tidemark-core` contains the rules; this crate does the
//! reads. It also serves the limits that clients must observe.

mod cursor;
mod limits;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, Error, http, metrics::Metric, telemetry};
use tidemark_core::{
    model::{
        channel::Channel,
        principal::{Author, Principal},
        receipts::Receipts,
    },
    rules::pull::{own::Own, page::Page},
    wire::{
        problem::{Problem, ProblemCode},
        pull::{OwnChanges, PullRequest, PullResponse},
        token::Token,
    },
};

use cursor::{Cursor, FillOutcome};

/// The name of the function in logs.
const NAME: &str = "pull";
/// The number of channels whose first reads are sent concurrently.
const PARALLEL_READS: usize = 4;
/// The maximum number of reads of one pull. A page whose entries are all the device's own changes
/// ends there, empty and with `has_more`.
const READS_MAX: u32 = 40;

/// Serves `POST /sync/pull` and `GET /sync/limits`.
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

async fn pull(context: &Context, request: &Request) -> Result<PullResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let pull: PullRequest = http::body(request)?;
    if let Some(device_id) = &pull.device_id {
        telemetry::device(device_id);
    }
    let (token, receipts) = decode_token(&pull)?;

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

    let receipts = remaining_receipts(receipts, &page, &cursors, now);
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

/// Decodes the token of a request. A device that has not pulled before has none.
fn decode_token(pull: &PullRequest) -> Result<(Token, Receipts), Problem> {
    match &pull.since_token {
        None => Ok(Default::default()),
        Some(text) => Token::decode_with(text).map_err(|error| {
            Problem::new(ProblemCode::InvalidToken, error.to_string()).at("since_token")
        }),
    }
}

/// Returns the receipts that the next token contains. A reset replaces the device's copies, so
/// receipts of earlier responses are discarded.
fn remaining_receipts(
    receipts: Receipts,
    page: &Page,
    cursors: &[Cursor],
    now: DateTime<Utc>,
) -> Receipts {
    let mut receipts = if cursors.iter().any(Cursor::is_reset) {
        Receipts::default()
    } else {
        receipts
    };
    receipts.prune(
        page.own_seen(),
        cursors.iter().map(Cursor::waits_since).min().unwrap_or(now),
    );
    receipts
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

/// Opens a cursor for every channel that the caller may read. The channel that has waited longest
/// is first, so that a busy channel cannot starve the others.
async fn open(
    context: &Context,
    principal: &Principal,
    token: &Token,
    now: DateTime<Utc>,
) -> Result<Vec<Cursor>, Error> {
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

/// Fills a page for the requesting device from the `opened` cursors. Returns the page and the
/// advanced cursors.
async fn fill_for(
    context: &Context,
    principal: &Principal,
    pull: &PullRequest,
    receipts: &Receipts,
    opened: Vec<Cursor>,
    now: DateTime<Utc>,
) -> Result<(Page, Vec<Cursor>), Error> {
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
    // The acknowledged positions matter only if an own change was left out.
    let Some(device_id) = pull.device_id.as_ref().filter(|_| first.leaves_own_out()) else {
        return Ok((first, cursors));
    };
    let rewound_channels = rewound_channels(context, principal, device_id, &opened).await?;
    if rewound_channels.is_empty() {
        return Ok((first, cursors));
    }

    let (mut page, mut cursors) = (page().with_own(Own::Omit(rewound_channels)), opened);
    fill(context, &mut page, &mut cursors, now).await?;
    Ok((page, cursors))
}

/// Returns the channels in which the device pulls again what it has acknowledged, because it was
/// restored from a backup. There its own changes are delivered too.
async fn rewound_channels(
    context: &Context,
    principal: &Principal,
    device_id: &str,
    opened: &[Cursor],
) -> Result<BTreeSet<Channel>, Error> {
    let device = context
        .tables
        .devices
        .load(&principal.tenant, &principal.user, device_id)
        .await?;
    let Some(device) = device else {
        return Ok(BTreeSet::new());
    };

    Ok(opened
        .iter()
        .filter(|cursor| cursor.is_before(&device.positions))
        .map(Cursor::channel)
        .cloned()
        .collect())
}

/// Fills the page channel by channel. The first reads of several channels are sent concurrently.
async fn fill(
    context: &Context,
    page: &mut Page,
    cursors: &mut [Cursor],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut reads_left = READS_MAX;
    let mut pending: Vec<&mut Cursor> = cursors
        .iter_mut()
        .filter(|cursor| !cursor.is_caught_up())
        .collect();

    for round in pending.chunks_mut(PARALLEL_READS) {
        if page.room() == 0 || page.is_exhausted() {
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
                && !page.is_exhausted()
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
