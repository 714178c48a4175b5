//! Serves `GET /devices`: the devices of a user, or of the whole tenant, and their lag.

use lambda_http::Request;
use tidemark_app::devices;
use tidemark_aws::{Context, Error, http};
use tidemark_core::{
    model::principal::Principal,
    wire::{ack::DevicesResponse, problem::Problem},
};

use crate::query::name;

pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<DevicesResponse, Error> {
    match http::query_parameter(request, "scope") {
        None | Some("user") => of_user(context, request, principal).await,
        Some("tenant") => of_tenant(context, request, principal).await,
        Some(_) => Err(Problem::malformed("scope", "must be user or tenant").into()),
    }
}

async fn of_user(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<DevicesResponse, Error> {
    let limit = http::list_limit(request)?;
    let user = name(request, "user")?;
    let after = name(request, "cursor")?;

    devices::of_user(context, principal, user, after, limit).await
}

async fn of_tenant(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<DevicesResponse, Error> {
    http::reader(principal)?;
    if http::query_parameter(request, "user").is_some() {
        return Err(Problem::malformed(
            "user",
            "scope=tenant lists the devices of all users: omit this parameter",
        )
        .into());
    }
    let limit = http::list_limit(request)?;
    let after = devices::decode_cursor(http::query_parameter(request, "cursor"))?;

    devices::of_tenant(context, principal, after, limit).await
}
