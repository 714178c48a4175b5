//! Acknowledgements (§4.8): records with one write how far a device has applied what it pulled.

use tidemark_aws::{
    Context, Error,
    tables::devices::{AckOutcome, Note},
};
use tidemark_core::{
    model::{principal::Principal, token::Token},
    rules::ack,
    wire::{
        ack::{AckRequest, AckResponse},
        problem::{Problem, ProblemCode},
    },
};

/// Records the positions of the token that a device acknowledges. A position behind the stored one
/// is not recorded, so late acknowledgements change nothing.
///
/// # Errors
/// Returns an `invalid_token` problem if the token cannot be decoded, and `Error::Unavailable` if
/// DynamoDB is unavailable.
pub async fn acknowledge(
    context: &Context,
    principal: &Principal,
    request: AckRequest,
) -> Result<AckResponse, Error> {
    let AckRequest {
        ack_token,
        device_id,
        app_version,
    } = request;
    let token = Token::decode(&ack_token).map_err(|_| {
        Problem::new(
            ProblemCode::InvalidToken,
            "not a pull token of this service, or corrupt",
        )
        .at("ack_token")
    })?;

    // Decide.
    let now = context.clock.now();
    let acknowledged = ack::acknowledged(&token, principal, now);
    let channels: Vec<String> = acknowledged.keys().map(ToString::to_string).collect();
    let mut note = Note {
        device_id: &device_id,
        app_version: app_version.as_deref(),
        positions: acknowledged,
        now,
    };

    // Commit. Each attempt that finds a stored position further ahead leaves fewer channels to
    // write, so the number of attempts is bounded.
    for _ in 0..=channels.len() {
        match context.tables.devices.note(principal, &note).await? {
            AckOutcome::Done => break,
            AckOutcome::Behind(stored) => note.positions = ack::ahead(note.positions, &stored),
        }
        if note.positions.is_empty() {
            break; // a late acknowledgement: all stored positions are ahead
        }
    }

    Ok(AckResponse {
        device_id,
        acknowledged_at: now,
        channels,
    })
}
