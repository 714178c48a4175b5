//! The Lambda binary of `push`: initializes the context and runs the handler.

use lambda_http::Request;
use mimalloc::MiMalloc;
use tidemark_aws::{Environment, entry, telemetry};

/// A push of 50 items makes about 6,000 allocations, which take an eighth of its time with the
/// allocator of glibc.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let (context, media) = (environment.context()?, environment.media()?);
    context.connect_by_resources().await;
    entry::run(async |request: Request| tidemark_push::handle(&context, &media, request).await)
        .await
}
