//! The Lambda binary of `pull`: wiring only.

use std::convert::Infallible;

use lambda_http::{Request, service_fn};
use tidemark_aws::{Platform, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let platform = Platform::from_environment()?;
    platform.connect_by_changes().await;
    let answer = async |request: Request| Ok::<_, Infallible>(tidemark_pull::handle(&platform, request).await);
    lambda_http::run(service_fn(answer)).await
}
