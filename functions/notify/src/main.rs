//! The Lambda binary of `notify`: initializes the dependencies and runs the handler.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use tidemark_aws::{Environment, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let context = environment.context()?;
    let dead_letters = environment.dead_letters("notify")?;
    let topic = environment.notifications();
    let handle = async |event: LambdaEvent<_>| {
        Ok::<_, Error>(
            tidemark_notify::handle(&context, &dead_letters, topic.as_ref(), event).await,
        )
    };
    lambda_runtime::run(service_fn(handle)).await
}
