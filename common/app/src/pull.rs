//! Pull (§4): returns the changes of the log up to the heads that were read first, and snapshots of
//! channels that are new to the device. A pull writes nothing.

mod cursor;
mod fill;

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error, metrics::Metric};
use tidemark_core::{
    model::{principal::Principal, receipts::Receipts, token::Token},
    rules::pull::page::Page,
    wire::{
        problem::{Problem, ProblemCode},
        pull::{Change, PullRequest, PullResponse},
    },
};

use cursor::Cursor;

/// Returns the next page of changes for a device, from the position in its token.
///
/// # Errors
/// Returns an `invalid_token` problem if the token cannot be decoded, `Error::Unavailable` if
/// DynamoDB is unavailable, and `Error::Corrupt` if a row cannot be decoded.
pub async fn pull(
    context: &Context,
    principal: &Principal,
    request: &PullRequest,
) -> Result<PullResponse, Error> {
    let (token, receipts) = decode_token(request)?;
    let now = context.clock.now();

    // Load: the heads of all channels first, then the changes up to them.
    let opened = open(context, principal, &token, now).await?;
    let (page, cursors) =
        fill::fill_for(context, principal, request, &receipts, opened, now).await?;
    measure(context, &token, &page, &cursors);

    // Respond.
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
    let changes: Vec<_> = page.into_changes().into_iter().map(Change::from).collect();
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
fn decode_token(request: &PullRequest) -> Result<(Token, Receipts), Problem> {
    match &request.since_token {
        None => Ok(Default::default()),
        Some(text) => Token::decode_with(text).map_err(|error| {
            Problem::new(ProblemCode::InvalidToken, error.to_string()).at("since_token")
        }),
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
