//! Push, but for requests that say how it shall fail. No request can make a real function do this;
//! this one shows what follows if something does.

use std::{panic, process, time::Duration};

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, Environment, entry, telemetry};

/// More than Lambda takes of an answer.
const TOO_LARGE_BYTES: usize = 7 << 20;
/// Long enough for a push to stand in the middle of its calls.
const MIDDLE: Duration = Duration::from_millis(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    abort_on_panic();
    let environment = Environment::read()?;
    let context = environment.context()?.with_media(environment.media()?);
    entry::run(async |request: Request| response(&context, request).await).await
}

/// As the release profile does, which cargo-lambda builds with `panic = "abort"`.
fn abort_on_panic() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        process::abort();
    }));
}

async fn response(context: &Context, request: Request) -> Response<Body> {
    let fault = request
        .headers()
        .get("x-fault")
        .and_then(|fault| fault.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    match fault.as_str() {
        "panic" => panics_in_the_middle(context, request).await,
        "too large" => Response::new(Body::from("x".repeat(TOO_LARGE_BYTES))),
        _ => tidemark_push::handle(context, request).await,
    }
}

async fn panics_in_the_middle(context: &Context, request: Request) -> Response<Body> {
    match tokio::time::timeout(MIDDLE, tidemark_push::handle(context, request)).await {
        Ok(response) => response,
        Err(_) => panic!("in the middle of a push"),
    }
}
