//! The Lambda binary of `push`: wiring only.

use lambda_http::Request;
use mimalloc::MiMalloc;
use tidemark_aws::{Environment, entry, telemetry};

/// Fifty items are some six thousand allocations, which glibc takes an eighth of a push for.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let context = environment.context()?.with_media(environment.media()?);
    context.connect_by_resources().await;
    entry::run(async |request: Request| tidemark_push::handle(&context, request).await).await
}
