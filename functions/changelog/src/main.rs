//! The Lambda binary of `changelog`: initializes the dependencies and runs the handler.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use tidemark_aws::{Environment, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let context = environment.context()?;
    let dead_letters = environment.dead_letters("changelog")?;
    context.connect_by_changes().await;
    let handle = async |event: LambdaEvent<_>| {
        tidemark_changelog::invoked(&context, &dead_letters, event).await
    };
    lambda_runtime::run(service_fn(handle)).await
}
