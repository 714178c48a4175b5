//! Resolve (§5): an admin decides a conflict. There are two doors, and behind both the same code:
//! the API, where a token says who the admin is, and direct invocation, where the event is the
//! request itself and IAM says who may send it.

mod commit;

use lambda_http::{Body, Context as LambdaContext, Request, Response};
use lambda_runtime::LambdaEvent;
use tidemark_aws::{Context, Failure, entry, http, telemetry};
use tidemark_core::{
    audit::Via,
    ids,
    json::Json,
    protocol::{
        problem::read_body,
        resolve::{DirectResolveRequest, ResolveRequest, ResolveResponse},
    },
    resolve::{ResolveCommand, Resolver},
};

/// What the function is called in logs.
const NAME: &str = "resolve";

/// Answers whatever Lambda hands over: a request of API Gateway, of either kind, or else a direct
/// one.
///
/// # Errors
/// The answer does not serialise, which each does. A refused request is no error: it is answered
/// with its problem.
pub async fn invoked(
    context: &Context,
    event: LambdaEvent<Json>,
) -> Result<Json, lambda_http::Error> {
    if !entry::is_gateway_event(&event.payload) {
        let LambdaEvent {
            payload,
            context: lambda_context,
        } = event;
        return direct(context, &payload, &lambda_context).await;
    }
    Ok(entry::response(event, async |request| handle(context, request).await).await?)
}

/// Answers `POST /conflicts/{id}/resolve`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    http::serve(context, NAME, &request, over_api(context, &request)).await
}

async fn over_api(context: &Context, request: &Request) -> Result<ResolveResponse, Failure> {
    let principal = context.verifier.principal(request).await?;
    http::admin(&principal)?;
    let id = http::path_parameter(request, "id")?;
    let asked: ResolveRequest = http::body(request)?;
    let catalog = &context.settings.catalog;
    resolve(
        context,
        &id,
        asked,
        Resolver {
            tenant: &principal.tenant,
            by: &principal.user,
            via: Via::Api,
            catalog,
        },
    )
    .await
}

/// A direct invocation, answered with the outcome or the problem. Whoever may invoke the function
/// is an admin of every tenant.
async fn direct(
    context: &Context,
    event: &Json,
    lambda_context: &LambdaContext,
) -> Result<Json, lambda_http::Error> {
    let context = &context.for_invocation();
    Ok(http::direct(context, NAME, lambda_context, decision(context, event)).await?)
}

async fn decision(context: &Context, event: &Json) -> Result<ResolveResponse, Failure> {
    let request: DirectResolveRequest = read_body(event.get().as_bytes())?;
    telemetry::caller(&request.tenant, &request.resolved_by);
    let (id, tenant, by) = (
        request.conflict_id.clone(),
        request.tenant.clone(),
        request.resolved_by.clone(),
    );
    let catalog = &context.settings.catalog;
    let resolver = Resolver {
        tenant: &tenant,
        by: &by,
        via: Via::Invocation,
        catalog,
    };
    resolve(context, &id, request.into_request(), resolver).await
}

async fn resolve(
    context: &Context,
    id: &str,
    request: ResolveRequest,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Failure> {
    let asked = ResolveCommand::read(request)?;
    if !ids::is_conflict(id) {
        return Err(http::not_found().into());
    }
    // Boxed, because the compiler counts how deep futures stand in each other.
    Box::pin(commit::commit(context, id, &asked, resolver)).await
}
