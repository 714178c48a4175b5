//! The Lambda binary of `changelog`: wiring only.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Platform, stream::StreamEvent, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let platform = Platform::from_environment().await?;
    let sequence = async |event: LambdaEvent<StreamEvent>| tidemark_changelog::handle(&platform, event).await;
    lambda_runtime::run(service_fn(sequence)).await
}
