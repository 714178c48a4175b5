//! HTTP for all functions: converts requests to bodies and principals, and results and problems to
//! responses (§8).

mod body;
mod headers;
mod pages;
mod representation;

use std::borrow::Cow;

use lambda_http::{
    Body, Context as LambdaContext, Request, RequestExt as _, Response,
    http::{HeaderName, HeaderValue, header},
    request::RequestContext,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tidemark_core::{
    model::{
        json::Json,
        limits::{LIST_DEFAULT, LIST_MAX, RESPONSE_BYTES_MAX, UNCOMPRESSED_RESPONSE_BYTES_MAX},
        principal::Principal,
    },
    wire::{
        gzip::{self, GZIP},
        problem::{Problem, ProblemBody, ProblemCode},
        routes::{ROUTES, Route},
    },
};

pub use body::{body, body_of};
pub use headers::{complete, is_allowed};
pub use pages::serve_page;
use representation::Representation;

use crate::{
    context::Context,
    deadline::Deadline,
    entry::Unreadable,
    error::Error,
    telemetry::{End, Invocation},
};

/// Returns the text of a header. The values of a repeated header are joined with commas, as HTTP
/// defines.
fn header_text<'a>(request: &'a Request, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut values = request
        .headers()
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap_or("?"));
    let first = Cow::Borrowed(values.next()?);
    Some(values.fold(first, |all, value| Cow::Owned(format!("{all}, {value}"))))
}

/// Returns the route of a request.
///
/// # Errors
/// Returns a 404 problem if the request matches no route.
pub fn route(request: &Request) -> Result<&'static Route, Problem> {
    let resource = resource(request);
    let method = request.method().as_str();
    let of_method = || ROUTES.iter().filter(|route| route.method == method);
    // The default route of a gateway and the emulator of cargo-lambda name no resource, so the path
    // is matched there.
    let by_path = || of_method().find(|route| route.is_of(request.uri().path()));
    let route = of_method()
        .find(|route| Some(route.path) == resource)
        .or_else(by_path);
    route.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no such route"))
}

/// Returns the path pattern of the request's route, with its placeholders, if the gateway names it.
fn resource(request: &Request) -> Option<&str> {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(api)) => api.resource_path.as_deref(),
        Some(RequestContext::ApiGatewayV2(api)) => api
            .route_key
            .as_deref()
            .and_then(|key| key.split_once(' '))
            .map(|(_, path)| path),
        _ => None,
    }
}

/// Returns the value of the path parameter `{name}`.
///
/// # Errors
/// Returns a 404 problem if the parameter is missing or empty.
pub fn path_parameter(request: &Request, name: &str) -> Result<String, Problem> {
    let parameters = request.path_parameters_ref();
    let value = parameters
        .and_then(|parameters| parameters.first(name))
        .unwrap_or_default();
    if value.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(value.to_owned())
}

/// Returns the query parameter `name`, or `None` if it is missing or empty.
pub fn query_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .query_string_parameters_ref()?
        .first(name)
        .filter(|value| !value.is_empty())
}

/// Returns the requested number of list entries from the query parameter `limit`, 1 to 200.
///
/// # Errors
/// Returns a 400 problem if the value is not a number in that range.
pub fn list_limit(request: &Request) -> Result<usize, Problem> {
    let Some(limit) = query_parameter(request, "limit") else {
        return Ok(LIST_DEFAULT);
    };
    let limit = limit
        .parse()
        .ok()
        .filter(|limit| (1..=LIST_MAX).contains(limit));
    limit.ok_or_else(|| {
        Problem::malformed("limit", format!("must be a number from 1 to {LIST_MAX}"))
    })
}

/// Checks that the caller has the role admin.
///
/// # Errors
/// Returns a 403 problem if the caller is not an admin.
pub fn admin(principal: &Principal) -> Result<(), Problem> {
    permit(principal.is_admin(), "this requires the role admin")
}

/// Checks that the caller may read what the tenant's users may not: it is a viewer or an admin.
///
/// # Errors
/// Returns a 403 problem if the caller is neither a viewer nor an admin.
pub fn reader(principal: &Principal) -> Result<(), Problem> {
    permit(
        principal.is_viewer(),
        "this requires the role admin or viewer",
    )
}

/// Checks that the caller has the role operator.
///
/// # Errors
/// Returns a 403 problem if the caller is not an operator.
pub fn operator(principal: &Principal) -> Result<(), Problem> {
    permit(principal.is_operator(), "this requires the role operator")
}

fn permit(has_role: bool, detail: &str) -> Result<(), Problem> {
    if has_role {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::Forbidden, detail))
}

/// Serves a request: runs the work and converts its result, or its problem, to a response.
pub async fn serve<T: Serialize>(
    context: &Context,
    function: &'static str,
    request: &Request,
    work: impl Future<Output = Result<T, Error>>,
) -> Response<Body> {
    // Boxed, because futures are moved from frame to frame and the stack of a thread is small.
    let work = Box::pin(async { Representation::untagged(&work.await?) });
    serve_representation(context, function, request, work).await
}

/// Serves a GET request like [`serve`]. The response has an entity tag, and a request whose
/// `If-None-Match` contains the tag gets status 304 without a body. `without_ages` removes the
/// values that change with the time of the request; it returns `None` if there are none.
pub async fn serve_read<T: Serialize>(
    context: &Context,
    function: &'static str,
    request: &Request,
    without_ages: impl FnOnce(T) -> Option<T>,
    work: impl Future<Output = Result<T, Error>>,
) -> Response<Body> {
    let work = Box::pin(async { Representation::tagged(work.await?, without_ages) });
    serve_representation(context, function, request, work).await
}

async fn serve_representation(
    context: &Context,
    function: &'static str,
    request: &Request,
    work: impl Future<Output = Result<Representation, Error>>,
) -> Response<Body> {
    let request_id = request_id(request);
    let lambda_context = request.lambda_context_ref();
    let lambda_request_id = lambda_context.map(|lambda| lambda.request_id.as_str());
    let invocation = Invocation {
        function,
        request_id: &request_id,
        lambda_request_id,
    };

    let deadline = Deadline::of(lambda_context, &context.clock);

    let respond = async {
        let origins = &context.settings.allowed_origins;
        let (mut response, end) = if headers::is_options(request) {
            let path = resource(request).unwrap_or(request.uri().path());
            match headers::preflight(request, path, origins) {
                Ok(response) => (response, End::Done),
                Err(problem) => (
                    respond_problem(context, request, &request_id, &problem),
                    End::Rejected(problem.code),
                ),
            }
        } else if let Some(Unreadable(problem)) = request.extensions().get() {
            (
                respond_problem(context, request, &request_id, problem),
                End::Rejected(problem.code),
            )
        } else {
            respond(context, request, &request_id, deadline.bound(work).await)
        };
        complete(
            response.headers_mut(),
            origins,
            request.headers().get(header::ORIGIN),
        );
        (response, end)
    };

    invocation.run(context, respond).await
}

/// Rejects a request without doing any work.
pub async fn reject(
    context: &Context,
    function: &'static str,
    request: &Request,
    problem: Problem,
) -> Response<Body> {
    serve(context, function, request, async {
        Err::<(), _>(problem.into())
    })
    .await
}

/// Serves a direct invocation. Returns the result of the work, or its problem.
///
/// # Errors
/// Returns an error if the result cannot be serialized, which does not occur.
pub async fn direct<T: Serialize>(
    context: &Context,
    function: &'static str,
    lambda_context: &LambdaContext,
    work: impl Future<Output = Result<T, Error>>,
) -> serde_json::Result<Json> {
    let request_id = &lambda_context.request_id;
    let deadline = Deadline::of(Some(lambda_context), &context.clock);

    let response = async {
        match deadline.bound(work).await {
            Ok(response) => (to_raw_value(&response), End::Done),
            Err(failure) => {
                context.meter.count_failure(&failure);
                let problem = failure.problem();
                (
                    RawValue::from_string(problem_document(&problem, request_id)),
                    End::Rejected(problem.code),
                )
            }
        }
    };

    Invocation {
        function,
        request_id,
        lambda_request_id: None,
    }
    .run(context, response)
    .await
}

fn respond(
    context: &Context,
    request: &Request,
    request_id: &str,
    outcome: Result<Representation, Error>,
) -> (Response<Body>, End) {
    let failure = match outcome {
        Ok(representation) => return (representation.into_response(request), End::Done),
        Err(failure) => failure,
    };

    context.meter.count_failure(&failure);
    let problem = failure.problem();
    (
        respond_problem(context, request, request_id, &problem),
        End::Rejected(problem.code),
    )
}

/// Serializes a problem for the body of a response or for the result of a direct invocation.
fn problem_document(problem: &Problem, request_id: &str) -> String {
    serde_json::to_string(&ProblemBody::new(problem, request_id)).unwrap_or_default()
}

fn respond_problem(
    context: &Context,
    request: &Request,
    request_id: &str,
    problem: &Problem,
) -> Response<Body> {
    let document = problem_document(problem, request_id);
    let mut response = response(
        request,
        problem.code.status(),
        "application/problem+json",
        document,
    );

    let hint = match problem.code {
        // The delay is random, so that devices that met the same unavailability do not retry at the
        // same time.
        ProblemCode::Unavailable => Some((
            header::RETRY_AFTER,
            HeaderValue::from(context.random.retry_after_s()),
        )),
        ProblemCode::Unauthenticated => {
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
        ProblemCode::UnsupportedMediaType => {
            Some((header::ACCEPT_ENCODING, HeaderValue::from_static(GZIP)))
        }
        _ => None,
    };

    if let Some((name, value)) = hint {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Builds a response with this body, compressed with gzip if that is smaller and the client accepts
/// it.
fn response(
    request: &Request,
    status: u16,
    content_type: &'static str,
    body: String,
) -> Response<Body> {
    let packed = packed(request, &body);
    let is_packed = packed.is_some();
    let mut response = Response::new(packed.map_or_else(|| Body::from(body), Body::from));
    *response.status_mut() = lambda_http::http::StatusCode::from_u16(status).unwrap_or_default();

    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    response
}

fn packed(request: &Request, body: &str) -> Option<Vec<u8>> {
    let accepted = header_text(request, &header::ACCEPT_ENCODING)?;
    if body.len() <= UNCOMPRESSED_RESPONSE_BYTES_MAX || !gzip::is_accepted(&accepted) {
        return None;
    }
    let packed = gzip::gzip(body.as_bytes());
    // Lambda transfers bytes as base64, so the encoded size must stay within the limit for text.
    let response_bytes = packed.len().div_ceil(3) * 4;
    (packed.len() < body.len() && response_bytes <= RESPONSE_BYTES_MAX).then_some(packed)
}

/// Returns the gateway's id of a request, which clients quote in support requests.
fn request_id(request: &Request) -> String {
    let id = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(api)) => api.request_id.clone(),
        Some(RequestContext::ApiGatewayV2(api)) => api.request_id.clone(),
        _ => None,
    };
    id.unwrap_or_default()
}
