//! The least that can be a function behind the API: the floor of a cold start. It answers every
//! request 200.

use lambda_http::{Body, Error, Request, Response, service_fn};

#[expect(
    clippy::disallowed_methods,
    reason = "nothing of Tidemark is part of the floor"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::run(service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(Body::from("{}")))
    }))
    .await
}
