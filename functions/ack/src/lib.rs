//! Ack: records how far a device has applied what it pulled.

use lambda_http::{Body, Request, Response};
use tidemark_app::ack;
use tidemark_aws::{Context, Error, http, telemetry};
use tidemark_core::wire::ack::{AckRequest, AckResponse};

/// Serves `POST /sync/ack`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    http::serve(context, "ack", &request, acknowledge(context, &request)).await
}

async fn acknowledge(context: &Context, request: &Request) -> Result<AckResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let request: AckRequest = http::body(request)?;
    telemetry::device(&request.device_id);
    ack::acknowledge(context, &principal, request).await
}
