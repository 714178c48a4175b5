//! The Lambda binary of `admin`: initializes the context and runs the handler.

use lambda_http::Request;
use tidemark_aws::{Environment, entry, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let environment = Environment::read()?;
    let context = environment.context()?;
    let dead_letters = environment.dead_letters("admin")?;
    context.connect_by_changes().await;
    entry::run(async |request: Request| {
        tidemark_admin::handle(&context, &dead_letters, request).await
    })
    .await
}
