//! The Lambda binary of `changelog`: wiring only.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Environment, telemetry};
use tidemark_core::json::Json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let platform = environment
        .platform()?
        .with_failures(environment.failures("changelog")?);
    platform.connect_by_changes().await;
    let answer =
        async |event: LambdaEvent<Json>| tidemark_changelog::invoked(&platform, event).await;
    lambda_runtime::run(service_fn(answer)).await
}
