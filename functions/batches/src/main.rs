//! The Lambda binary of `batches`: initializes the context and runs the handler.

use lambda_http::Request;
use tidemark_aws::{Environment, entry, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let (context, media) = (environment.context()?, environment.media()?);
    context.connect_by_resources().await;
    entry::run(async |request: Request| tidemark_batches::handle(&context, &media, request).await)
        .await
}
