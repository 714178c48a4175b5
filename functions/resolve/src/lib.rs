//! Resolve (§5): an admin resolves a conflict. There are two entry points to the same code: the
//! API, where a token identifies the admin, and direct invocation, where the event is the request
//! itself and IAM controls who may send it.

mod commit;

use lambda_http::{Body, Context as LambdaContext, Request, Response};
use lambda_runtime::LambdaEvent;
use tidemark_aws::{Context, Error, entry, http, telemetry};
use tidemark_core::{
    model::{ids, json::Json},
    rules::{
        audit::Via,
        resolve::{ResolveCommand, Resolver},
    },
    wire::{
        problem::read_body,
        resolve::{DirectResolveRequest, ResolveRequest, ResolveResponse},
    },
};

/// The name of the function in logs.
const NAME: &str = "resolve";

/// Handles any event of the function: a request from either kind of API Gateway, or otherwise a
/// direct invocation.
///
/// # Errors
/// Returns an error if the response cannot be serialized, which does not occur. A rejected request
/// is no error: the response is its problem.
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

/// Serves `POST /conflicts/{id}/resolve`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    http::serve(context, NAME, &request, over_api(context, &request)).await
}

async fn over_api(context: &Context, request: &Request) -> Result<ResolveResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    http::admin(&principal)?;
    let id = http::path_parameter(request, "id")?;
    let command: ResolveRequest = http::body(request)?;

    let catalog = &context.settings.catalog;
    resolve(
        context,
        &id,
        command,
        Resolver {
            tenant: &principal.tenant,
            by: &principal.user,
            via: Via::Api,
            catalog,
        },
    )
    .await
}

/// Serves a direct invocation. Returns the outcome or a problem. An identity that may invoke the
/// function counts as an admin of every tenant.
async fn direct(
    context: &Context,
    event: &Json,
    lambda_context: &LambdaContext,
) -> Result<Json, lambda_http::Error> {
    let context = &context.for_invocation();
    Ok(http::direct(context, NAME, lambda_context, decision(context, event)).await?)
}

async fn decision(context: &Context, event: &Json) -> Result<ResolveResponse, Error> {
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
) -> Result<ResolveResponse, Error> {
    let command = ResolveCommand::read(request)?;
    if !ids::is_conflict(id) {
        return Err(http::not_found().into());
    }
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    Box::pin(commit::commit(context, id, &command, resolver)).await
}
