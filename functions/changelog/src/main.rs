//! The Lambda binary of `changelog`: initializes the context and runs the handler.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Environment, telemetry};
use tidemark_core::model::json::Json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let context = environment
        .context()?
        .with_dead_letters(environment.dead_letters("changelog")?);
    context.connect_by_changes().await;
    let response =
        async |event: LambdaEvent<Json>| tidemark_changelog::invoked(&context, event).await;
    lambda_runtime::run(service_fn(response)).await
}
