//! The Lambda binary of `resolve`: wiring only.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Platform, telemetry};
use tidemark_core::json::Json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let platform = Platform::from_environment()?;
    platform.connect_by_resources().await;
    // The event as text: whatever a payload holds comes through digit for digit.
    let answer = async |event: LambdaEvent<Json>| tidemark_resolve::invoked(&platform, event).await;
    lambda_runtime::run(service_fn(answer)).await
}
