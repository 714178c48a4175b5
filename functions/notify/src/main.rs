//! The Lambda binary of `notify`: initializes the context and runs the handler.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Environment, stream::StreamEvent, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let context = environment
        .context()?
        .with_dead_letters(environment.dead_letters("notify")?);
    let context = context.with_notifications(environment.notifications());
    let notify =
        async |event: LambdaEvent<StreamEvent>| tidemark_notify::handle(&context, event).await;
    lambda_runtime::run(service_fn(notify)).await
}
