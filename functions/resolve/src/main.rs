//! The Lambda binary of `resolve`: initializes the context and runs the handler.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Context, telemetry};
use tidemark_core::model::json::Json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let context = Context::from_environment()?;
    context.connect_by_resources().await;
    // The event is received as text, so that numbers in a payload keep every digit.
    let response =
        async |event: LambdaEvent<Json>| tidemark_resolve::invoked(&context, event).await;
    lambda_runtime::run(service_fn(response)).await
}
