//! Resolve (§5): an admin decides a conflict. There are two doors, and behind both the same code:
//! the API, where a token says who the admin is, and direct invocation, where the event is the
//! request itself and IAM says who may send it.

mod commit;

use lambda_http::{Body, Context, Request, Response};
use lambda_runtime::LambdaEvent;
use tidemark_aws::{Failure, Platform, edge, entry, telemetry};
use tidemark_core::{
    audit::Via,
    ids,
    json::Json,
    protocol::{
        problem::read_body,
        resolve::{DirectResolveRequest, ResolveRequest, ResolveResponse},
    },
    resolve::{Asked, Resolver},
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
    platform: &Platform,
    event: LambdaEvent<Json>,
) -> Result<Json, lambda_http::Error> {
    if !entry::is_gateway_event(&event.payload) {
        let LambdaEvent { payload, context } = event;
        return direct(platform, &payload, &context).await;
    }
    Ok(entry::answer(event, async |request| handle(platform, request).await).await?)
}

/// Answers `POST /conflicts/{id}/resolve`.
pub async fn handle(platform: &Platform, request: Request) -> Response<Body> {
    let platform = &platform.for_invocation();
    edge::serve(platform, NAME, &request, over_api(platform, &request)).await
}

async fn over_api(platform: &Platform, request: &Request) -> Result<ResolveResponse, Failure> {
    let principal = platform.verifier.principal(request).await?;
    edge::admin(&principal)?;
    let id = edge::path_parameter(request, "id")?;
    let asked: ResolveRequest = edge::body(request)?;
    let catalog = &platform.settings.catalog;
    resolve(
        platform,
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
    platform: &Platform,
    event: &Json,
    context: &Context,
) -> Result<Json, lambda_http::Error> {
    let platform = &platform.for_invocation();
    Ok(edge::direct(platform, NAME, context, decision(platform, event)).await?)
}

async fn decision(platform: &Platform, event: &Json) -> Result<ResolveResponse, Failure> {
    let request: DirectResolveRequest = read_body(event.get().as_bytes())?;
    telemetry::caller(&request.tenant, &request.resolved_by);
    let (id, tenant, by) = (
        request.conflict_id.clone(),
        request.tenant.clone(),
        request.resolved_by.clone(),
    );
    let catalog = &platform.settings.catalog;
    let resolver = Resolver {
        tenant: &tenant,
        by: &by,
        via: Via::Invocation,
        catalog,
    };
    resolve(platform, &id, request.into_request(), resolver).await
}

async fn resolve(
    platform: &Platform,
    id: &str,
    request: ResolveRequest,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Failure> {
    let asked = Asked::read(request)?;
    if !ids::is_conflict(id) {
        return Err(edge::not_found().into());
    }
    // Boxed, because the compiler counts how deep futures stand in each other.
    Box::pin(commit::commit(platform, id, &asked, resolver)).await
}
