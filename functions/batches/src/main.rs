//! The Lambda binary of `batches`: wiring only.

use lambda_http::Request;
use tidemark_aws::{Environment, entry, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let platform = environment.platform()?.with_media(environment.media()?);
    platform.connect_by_resources().await;
    entry::run(async |request: Request| tidemark_batches::handle(&platform, request).await).await
}
