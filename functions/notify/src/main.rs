//! The Lambda binary of `notify`: wiring only.

use lambda_runtime::{LambdaEvent, service_fn};
use tidemark_aws::{Environment, stream::StreamEvent, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let platform = environment
        .platform()?
        .with_failures(environment.failures("notify")?);
    let platform = platform.with_notifications(environment.notifications());
    let notify =
        async |event: LambdaEvent<StreamEvent>| tidemark_notify::handle(&platform, event).await;
    lambda_runtime::run(service_fn(notify)).await
}
