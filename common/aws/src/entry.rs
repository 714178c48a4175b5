//! The entry points of the functions: distinguishes the kinds of events, converts API Gateway events
//! to requests, and responses to the format that API Gateway expects.
//!
//! The Lambda adapter of `lambda_http` builds a URI from `Host`, `X-Forwarded-Proto`, the path and
//! the query, and panics if the URI is invalid or a body is not valid base64. Therefore every
//! function behind the API uses this module, so that a client's input cannot end its process (§8).

mod fields;
mod request;
mod shape;

use lambda_http::{Body, LambdaEvent, Request, Response, service_fn};
use tidemark_core::model::json::Json;

pub(crate) use request::Unreadable;
pub use request::request;
pub use shape::{Shape, respond};

use fields::object;

/// The fields that identify an API Gateway event. Each event has at least one of them.
const GATEWAY_FIELDS: [&str; 3] = ["requestContext", "httpMethod", "routeKey"];
/// The field that identifies a batch of stream records.
const RECORDS_FIELD: &str = "Records";

/// An event of a function, by its sender. Its content is not parsed yet: [`response`] parses a
/// request, and [`crate::stream::response`] parses a batch. A function treats the events of a sender
/// that is not among its event sources as direct, and their response names what is wrong.
#[derive(Debug)]
pub enum Event {
    /// A request from an API Gateway.
    Api(LambdaEvent<Json>),
    /// A batch of records from a DynamoDB stream.
    Stream(LambdaEvent<Json>),
    /// Anything else: an operator invokes the function directly.
    Direct(LambdaEvent<Json>),
}

impl Event {
    /// Determines the sender of an event by its fields. An event with the fields of a request is
    /// never direct, because a token authorizes requests and IAM authorizes direct invocations.
    pub fn of(event: LambdaEvent<Json>) -> Self {
        let fields = object(event.payload.get()).unwrap_or_default();
        let has = |name: &str| fields.contains_key(name);
        let (is_request, is_batch) = (
            GATEWAY_FIELDS.iter().any(|name| has(name)),
            has(RECORDS_FIELD),
        );

        match (is_request, is_batch) {
            (true, _) => Self::Api(event),
            (false, true) => Self::Stream(event),
            (false, false) => Self::Direct(event),
        }
    }
}

/// Runs a function behind the API until Lambda ends the process.
///
/// # Errors
/// Returns the error of the runtime API if it fails, which ends the process.
pub async fn run<F>(handle: impl Fn(Request) -> F) -> Result<(), lambda_http::Error>
where
    F: Future<Output = Response<Body>>,
{
    let response = async |event: LambdaEvent<Json>| {
        response(event, &handle)
            .await
            .map_err(lambda_http::Error::from)
    };
    lambda_http::lambda_runtime::run(service_fn(response)).await
}

/// Handles one API Gateway event and returns its response.
///
/// # Errors
/// Returns an error if the response cannot be serialized, which does not occur.
pub async fn response<F>(
    event: LambdaEvent<Json>,
    handle: impl FnOnce(Request) -> F,
) -> serde_json::Result<Json>
where
    F: Future<Output = Response<Body>>,
{
    let LambdaEvent { payload, context } = event;
    let (request, shape) = request(payload.get(), context);
    // Frees megabytes that are not needed after parsing.
    drop(payload);
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    respond(shape, Box::pin(handle(request)).await)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn kind(event: &str) -> &'static str {
        let payload = RawValue::from_string(event.to_owned()).expect("JSON");
        match Event::of(LambdaEvent::new(payload, lambda_http::Context::default())) {
            Event::Api(_) => "api",
            Event::Stream(_) => "stream",
            Event::Direct(_) => "direct",
        }
    }

    #[test]
    fn fields_determine_the_sender() {
        for (event, expected) in [
            (r#"{"requestContext": null}"#, "api"),
            (r#"{"httpMethod": 7}"#, "api"),
            (r#"{"routeKey": "GET /devices"}"#, "api"),
            (r#"{"Records": []}"#, "stream"),
            (r#"{"Records": 7}"#, "stream"),
            (r#"{"Records": [], "routeKey": "GET /devices"}"#, "api"),
            (r#"{"repair": {"httpMethod": "GET"}}"#, "direct"),
            (r#"{"records": []}"#, "direct"),
            (r#"[{"Records": []}]"#, "direct"),
            (r#""Records""#, "direct"),
            ("null", "direct"),
        ] {
            assert_eq!(kind(event), expected, "{event}");
        }
    }
}
