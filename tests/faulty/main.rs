//! The push function with failures that a request header selects. A request cannot provoke these
//! failures in the real function; this binary shows their consequences.

use std::{panic, process, time::Duration};

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, Environment, entry, media::Media, telemetry};

/// More bytes than Lambda accepts in a response.
const TOO_LARGE_BYTES: usize = 7 << 20;
/// A time at which a push is between two of its calls.
const MIDDLE: Duration = Duration::from_millis(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    abort_on_panic();
    let environment = Environment::read()?;
    let (context, media) = (environment.context()?, environment.media()?);
    entry::run(async |request: Request| response(&context, &media, request).await).await
}

/// Aborts the process on a panic, as the release profile does: cargo-lambda builds with `panic =
/// "abort"`.
fn abort_on_panic() {
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        default_hook(panic);
        process::abort();
    }));
}

async fn response(context: &Context, media: &Media, request: Request) -> Response<Body> {
    let fault = request
        .headers()
        .get("x-fault")
        .and_then(|fault| fault.to_str().ok())
        .unwrap_or_default()
        .to_owned();

    match fault.as_str() {
        "panic" => panics_in_the_middle(context, media, request).await,
        "too large" => Response::new(Body::from("x".repeat(TOO_LARGE_BYTES))),
        _ => tidemark_push::handle(context, media, request).await,
    }
}

async fn panics_in_the_middle(
    context: &Context,
    media: &Media,
    request: Request,
) -> Response<Body> {
    match tokio::time::timeout(MIDDLE, tidemark_push::handle(context, media, request)).await {
        Ok(response) => response,
        Err(_) => panic!("in the middle of a push"),
    }
}
