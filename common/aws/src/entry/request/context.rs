//! The gateway's context of a request.

use std::borrow::Cow;

use aws_lambda_events::apigw::{ApiGatewayProxyRequestContext, ApiGatewayV2httpRequestContext};
use lambda_http::request::RequestContext;

use super::super::{
    fields::{RawFields, field},
    shape::Shape,
};

/// Returns the parts of the request context that the functions use: request id, route, stage and
/// path.
pub(super) fn request_context(
    shape: Shape,
    gateway: &RawFields<'_>,
    fields: &RawFields<'_>,
) -> RequestContext {
    let owned = |name: &str| field(gateway, name).map(Cow::into_owned);

    match shape {
        Shape::Rest => {
            let mut context = ApiGatewayProxyRequestContext::default();
            context.request_id = owned("requestId");
            context.resource_path = owned("resourcePath");
            context.stage = owned("stage");
            // The path with the stage, which `path` of the event lacks.
            context.path = owned("path");
            RequestContext::ApiGatewayV1(context)
        }
        Shape::Http => {
            let mut context = ApiGatewayV2httpRequestContext::default();
            context.request_id = owned("requestId");
            context.route_key =
                owned("routeKey").or_else(|| field(fields, "routeKey").map(Cow::into_owned));
            context.stage = owned("stage");
            RequestContext::ApiGatewayV2(context)
        }
    }
}
