//! batches: being built.

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Failure, Platform, edge};

/// Being built.
pub async fn handle(_platform: &Platform, request: Request) -> Response<Body> {
    let outcome: Result<(), Failure> = Err(Failure::Outage("being built".into()));
    edge::respond(&request, outcome)
}
