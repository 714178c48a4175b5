//! The Lambda binary of `ack`: initializes the context and runs the handler.

use lambda_http::Request;
use tidemark_aws::{Context, entry, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let context = Context::from_environment()?;
    context.connect_by_devices().await;
    entry::run(async |request: Request| tidemark_ack::handle(&context, request).await).await
}
