//! Ack: records with one write how far a device has applied what it pulled, and reports the lag of
//! devices.

mod devices;

use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Context, Error, http,
    tables::devices::{AckOutcome, Note},
    telemetry,
};
use tidemark_core::{
    rules::ack,
    wire::{
        ack::{AckRequest, AckResponse},
        problem::{Problem, ProblemCode},
        token::Token,
    },
};

/// The name of the function in logs.
const NAME: &str = "ack";

/// Serves `POST /sync/ack` and `GET /devices`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    match http::route(&request).map(|route| route.method) {
        Ok("GET") => http::serve(context, NAME, &request, devices::list(context, &request)).await,
        Ok(_) => http::serve(context, NAME, &request, acknowledge(context, &request)).await,
        Err(problem) => http::reject(context, NAME, &request, problem).await,
    }
}

async fn acknowledge(context: &Context, request: &Request) -> Result<AckResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let AckRequest {
        ack_token,
        device_id,
        app_version,
    } = http::body(request)?;
    let token = Token::decode(&ack_token).map_err(|_| {
        Problem::new(
            ProblemCode::InvalidToken,
            "not a pull token of this service, or corrupt",
        )
        .at("ack_token")
    })?;

    telemetry::device(&device_id);
    let now = context.clock.now();
    let acknowledged = ack::acknowledged(&token, &principal, now);
    let channels: Vec<String> = acknowledged.keys().map(ToString::to_string).collect();
    let mut note = Note {
        device_id: &device_id,
        app_version: app_version.as_deref(),
        positions: acknowledged,
        now,
    };

    // Each attempt that finds a stored position further ahead leaves fewer channels to write, so
    // the number of attempts is bounded.
    for _ in 0..=channels.len() {
        match context.tables.devices.note(&principal, &note).await? {
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
