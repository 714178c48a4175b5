//! Ack: notes how far a device has applied what it pulled, in one write, and tells how far devices
//! are behind.

mod devices;

use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Failure, Platform, edge,
    tables::devices::{Note, Noted},
    telemetry,
};
use tidemark_core::{
    ack,
    protocol::{
        ack::{AckRequest, AckResponse},
        problem::{Problem, ProblemCode},
    },
    token::Token,
};

/// What the function is called in logs.
const NAME: &str = "ack";

/// Answers `POST /sync/ack` and `GET /devices`.
pub async fn handle(platform: &Platform, request: Request) -> Response<Body> {
    let platform = &platform.for_invocation();
    match edge::route(&request).map(|route| route.method) {
        Ok("GET") => edge::serve(platform, NAME, &request, devices::list(platform, &request)).await,
        Ok(_) => edge::serve(platform, NAME, &request, acknowledge(platform, &request)).await,
        Err(problem) => edge::refuse(platform, NAME, &request, problem).await,
    }
}

async fn acknowledge(platform: &Platform, request: &Request) -> Result<AckResponse, Failure> {
    let principal = platform.verifier.principal(request).await?;
    let AckRequest {
        ack_token,
        device_id,
        app_version,
    } = edge::body(request)?;
    let token = Token::decode(&ack_token).map_err(|_| {
        Problem::new(
            ProblemCode::InvalidToken,
            "not a pull token of this service, or damaged",
        )
        .at("ack_token")
    })?;
    telemetry::device(&device_id);
    let now = platform.clock.now();
    let told = ack::acknowledged(&token, &principal, now);
    let channels: Vec<String> = told.keys().map(ToString::to_string).collect();
    let mut note = Note {
        device_id: &device_id,
        app_version: app_version.as_deref(),
        positions: told,
        now,
    };
    // Each try that finds the device further ahead leaves fewer channels to write than the one
    // before.
    for _ in 0..=channels.len() {
        match platform.tables.devices.note(&principal, &note).await? {
            Noted::Done => break,
            Noted::Behind(stored) => note.positions = ack::ahead(note.positions, &stored),
        }
        if note.positions.is_empty() {
            break; // a late one: all of it is known
        }
    }
    Ok(AckResponse {
        device_id,
        acknowledged_at: now,
        channels,
    })
}
