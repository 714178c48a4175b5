//! The two products of API Gateway, and the responses that they expect from a function.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::{
    Body, Response,
    http::{HeaderMap, header},
};
use serde_json::value::to_raw_value;
use tidemark_core::model::json::Json;

/// The API Gateway product that sent an event, which determines the format of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A REST API with payload format 1.0.
    Rest,
    /// An HTTP API with payload format 2.0.
    Http,
}

/// Serializes a response in the format that API Gateway expects from a function.
///
/// # Errors
/// Returns an error if the response cannot be serialized, which does not occur.
pub fn respond(shape: Shape, response: Response<Body>) -> serde_json::Result<Json> {
    let (parts, body) = response.into_parts();
    let status = i64::from(parts.status.as_u16());
    let is_base64_encoded = matches!(body, Body::Binary(_));
    let body = Some(body).filter(|body| matches!(body, Body::Text(_) | Body::Binary(_)));

    match shape {
        Shape::Rest => {
            let mut response = ApiGatewayProxyResponse::default();
            response.status_code = status;
            response.multi_value_headers = parts.headers;
            response.body = body;
            response.is_base64_encoded = is_base64_encoded;
            to_raw_value(&response)
        }
        Shape::Http => {
            let mut response = ApiGatewayV2httpResponse::default();
            response.status_code = status;
            (response.headers, response.cookies) = without_cookies(parts.headers);
            response.body = body;
            response.is_base64_encoded = is_base64_encoded;
            to_raw_value(&response)
        }
    }
}

/// Separates the cookies that a response sets from its other headers. An HTTP API expects them in a
/// list, because it accepts one value per header.
fn without_cookies(mut headers: HeaderMap) -> (HeaderMap, Vec<String>) {
    let set = headers.get_all(header::SET_COOKIE).iter();
    let cookies = set
        .filter_map(|cookie| cookie.to_str().ok().map(ToOwned::to_owned))
        .collect();
    headers.remove(header::SET_COOKIE);
    (headers, cookies)
}
