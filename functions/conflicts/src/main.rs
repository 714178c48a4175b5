//! The Lambda binary of `conflicts`: wiring only.

use std::convert::Infallible;

use lambda_http::{Request, service_fn};
use tidemark_aws::{Environment, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let platform = environment.platform()?.with_failures(environment.failures("conflicts")?);
    platform.connect_by_changes().await;
    let answer = async |request: Request| Ok::<_, Infallible>(tidemark_conflicts::handle(&platform, request).await);
    lambda_http::run(service_fn(answer)).await
}
