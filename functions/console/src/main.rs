//! The Lambda binary of `console`: initializes the context and runs the handler.

use lambda_http::Request;
use tidemark_aws::{Environment, entry, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let (context, media) = (environment.context()?, environment.media()?);
    let dead_letters = environment.dead_letters("console")?;
    entry::run(async |request: Request| {
        tidemark_console::handle(&context, &media, &dead_letters, request).await
    })
    .await
}
