//! A minimal function behind the API, which responds to every request with 200. It is the baseline
//! of a cold start.

use lambda_http::{Body, Error, Request, Response, service_fn};

#[expect(
    clippy::disallowed_methods,
    reason = "the baseline contains no Tidemark code"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::run(service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(Body::from("{}")))
    }))
    .await
}
