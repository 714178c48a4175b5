//! Serves `GET /batches`: the batches of a tenant with one outcome.

use lambda_http::Request;
use tidemark_app::batches;
use tidemark_aws::{Context, Error, http};
use tidemark_core::{
    model::{
        batch::{BatchFilter, ListedOutcome},
        conflict::ListOrder,
        principal::Principal,
    },
    wire::{batches::BatchList, problem::Problem},
};

use crate::query;

pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<BatchList, Error> {
    http::reader(principal)?;
    let filter = filter(request)?;
    let limit = http::list_limit(request)?;
    let after = batches::decode_cursor(&filter, http::query_parameter(request, "cursor"))?;

    batches::list(context, principal, &filter, after, limit).await
}

fn filter(request: &Request) -> Result<BatchFilter, Problem> {
    let user = query::name(request, "user")?;
    let device_id = query::name(request, "device_id")?;
    if device_id.is_some() && user.is_none() {
        let detail = "names a device of a user: the parameter user is missing";
        return Err(Problem::malformed("device_id", detail));
    }

    Ok(BatchFilter {
        outcome: query::keyword(request, "outcome")?.unwrap_or(ListedOutcome::Error),
        order: query::keyword(request, "order")?.unwrap_or(ListOrder::Newest),
        user: user.map(str::to_owned),
        device_id: device_id.map(str::to_owned),
        from: query::time(request, "from")?,
        until: query::time(request, "until")?,
    })
}
