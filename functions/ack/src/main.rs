//! The Lambda binary of `ack`: wiring only.

use lambda_http::Request;
use tidemark_aws::{Platform, entry, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let platform = Platform::from_environment()?;
    platform.connect_by_changes().await;
    entry::run(async |request: Request| tidemark_ack::handle(&platform, request).await).await
}
