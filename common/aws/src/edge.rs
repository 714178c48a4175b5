//! The HTTP edge: requests become bodies and callers once, answers and problems become responses once (§8).

use std::collections::BTreeMap;

use lambda_http::{
    Body, Request, RequestExt as _, Response,
    http::{HeaderValue, header},
    request::RequestContext,
};
use serde::Serialize;
use tidemark_core::{
    json::Json,
    limits::{BODY_BYTES_MAX, LIST_DEFAULT, LIST_MAX},
    principal::Principal,
    protocol::problem::{Problem, ProblemCode, read_body},
    routes::{ROUTES, Route},
};

use crate::failure::Failure;

/// Seconds a client waits before it repeats a request that met an outage.
const RETRY_AFTER_SECONDS: &str = "2";

/// Reads the body of a request as `T`.
///
/// # Errors
/// A [`Problem`]: 415 for what is declared as something other than JSON, 413 over 3 MB, 400 with the JSON path otherwise.
pub fn body<'a, T: serde::Deserialize<'a>>(request: &'a Request) -> Result<T, Problem> {
    check_media_type(request)?;
    let bytes: &[u8] = request.body();
    if bytes.len() > BODY_BYTES_MAX {
        let detail = format!("the body has {} bytes, at most {BODY_BYTES_MAX} are read: send smaller batches", bytes.len());
        return Err(Problem::new(ProblemCode::BodyTooLarge, detail));
    }
    read_body(bytes)
}

fn check_media_type(request: &Request) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let media_type = header(header::CONTENT_TYPE).unwrap_or_else(|| "application/json".into());
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence != "application/json" && !essence.ends_with("+json") {
        let detail = format!("content-type is {essence:?}: send application/json");
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    match header(header::CONTENT_ENCODING).as_deref() {
        None | Some("identity") => Ok(()),
        Some(encoding) => {
            let detail = format!("content-encoding is {encoding:?}: send the body as it is");
            Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
        }
    }
}

/// The route by which a request came.
///
/// # Errors
/// A 404 problem for a request by none of ours.
pub fn route(request: &Request) -> Result<&'static Route, Problem> {
    let resource = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.resource_path.as_deref(),
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.route_key.as_deref().and_then(|key| key.split_once(' ')).map(|(_, path)| path)
        }
        _ => None,
    };
    let method = request.method().as_str();
    let route = ROUTES.iter().find(|route| route.method == method && Some(route.path) == resource);
    route.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no such route"))
}

/// What stands in the path at `{name}`.
///
/// # Errors
/// A 404 problem when it is no name of anything.
pub fn path_parameter(request: &Request, name: &str) -> Result<String, Problem> {
    let parameters = request.path_parameters_ref();
    let value = parameters.and_then(|parameters| parameters.first(name)).unwrap_or_default();
    if value.is_empty() {
        return Err(not_found());
    }
    Ok(value.to_owned())
}

/// The answer to a request for something that is not there, or is another tenant's.
pub fn not_found() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such thing in your tenant")
}

/// What a query says of `name`; an empty value is none.
pub fn query_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.query_string_parameters_ref()?.first(name).filter(|value| !value.is_empty())
}

/// How many entries of a list are wanted: `limit` in the query, 1 to 200.
///
/// # Errors
/// A 400 problem for anything else.
pub fn list_limit(request: &Request) -> Result<usize, Problem> {
    let Some(limit) = query_parameter(request, "limit") else { return Ok(LIST_DEFAULT) };
    let limit = limit.parse().ok().filter(|limit| (1..=LIST_MAX).contains(limit));
    limit.ok_or_else(|| Problem::malformed("limit", format!("must be a number from 1 to {LIST_MAX}")))
}

/// Lets only admins on.
///
/// # Errors
/// A 403 problem for anyone else.
pub fn admin(principal: &Principal) -> Result<(), Problem> {
    if principal.is_admin() {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::Forbidden, "this is for users with the role admin"))
}

/// The response to a request: its answer, or the problem that it met.
pub fn respond<T: Serialize>(request: &Request, outcome: Result<T, Failure>) -> Response<Body> {
    let problem = match outcome.map(|answer| serde_json::to_string(&answer)) {
        Ok(Ok(body)) => return response(200, "application/json", body),
        Ok(Err(error)) => Failure::unreadable("answer", error).problem(),
        Err(failure) => failure.problem(),
    };
    respond_problem(request, &problem)
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: ProblemCode,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    request_id: String,
    #[serde(flatten)]
    members: BTreeMap<&'a str, &'a Json>,
}

/// A problem as a document: the body of a response, or the answer to a direct invocation.
pub fn problem_document(problem: &Problem, request_id: String) -> String {
    let code = serde_json::to_value(problem.code).unwrap_or_default();
    let body = ProblemBody {
        r#type: format!("urn:tidemark:problem:{}", code.as_str().unwrap_or_default()),
        title: problem.code.title(),
        status: problem.code.status(),
        code: problem.code,
        detail: &problem.detail,
        path: problem.path.as_deref(),
        request_id,
        members: problem.members.iter().map(|(name, value)| (*name, value)).collect(),
    };
    serde_json::to_string(&body).unwrap_or_default()
}

fn respond_problem(request: &Request, problem: &Problem) -> Response<Body> {
    let request_id = request_id(request);
    let status = problem.code.status();
    tracing::info!(%request_id, status, code = ?problem.code, "request refused");
    let mut response = response(status, "application/problem+json", problem_document(problem, request_id));
    if problem.code == ProblemCode::Unavailable {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    if problem.code == ProblemCode::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn response(status: u16, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = lambda_http::http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The gateway's id of a request, for the client to name when it asks for help.
fn request_id(request: &Request) -> String {
    let id = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.request_id.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    id.unwrap_or_default()
}
