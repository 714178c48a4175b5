//! Serves `GET /conflicts`, the conflicts of a tenant that meet the filters of the query, and `GET
//! /conflicts/summary`, the number of its open conflicts.

use lambda_http::Request;
use tidemark_app::conflicts;
use tidemark_aws::{Context, Error, http};
use tidemark_core::{
    model::{channel::Channel, conflict::ConflictFilter, principal::Principal},
    wire::{
        conflicts::{ConflictList, ConflictSummaryResponse},
        problem::Problem,
    },
};

use crate::query::{keyword, name, parsed, time};

pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<ConflictList, Error> {
    http::reader(principal)?;
    let filter = filter(request)?;
    let after = conflicts::decode_cursor(&filter, http::query_parameter(request, "cursor"))?;
    let limit = http::list_limit(request)?;

    conflicts::list(context, principal, &filter, after.as_ref(), limit).await
}

pub(crate) async fn summary(
    context: &Context,
    principal: &Principal,
) -> Result<ConflictSummaryResponse, Error> {
    http::reader(principal)?;
    conflicts::summary(context, principal).await
}

/// Returns the conditions and the order of the list that the query requests.
fn filter(request: &Request) -> Result<ConflictFilter, Problem> {
    let text = |parameter| Ok::<_, Problem>(name(request, parameter)?.map(ToOwned::to_owned));
    let channel = "must be tenant, user/<sub> or group/<name>";

    Ok(ConflictFilter {
        status: keyword(request, "status")?.unwrap_or_default(),
        order: keyword(request, "order")?.unwrap_or_default(),
        resource_type: text("type")?,
        channel: parsed(request, "channel", Channel::parse, channel)?,
        user: text("user")?,
        device_id: text("device_id")?,
        code: keyword(request, "code")?,
        resource_id: text("resource_id")?,
        detected_from: time(request, "detected_from")?,
        detected_until: time(request, "detected_until")?,
    })
}
