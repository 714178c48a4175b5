//! Serves `GET /audit`: the audit log of a tenant, newest or oldest entry first.

use lambda_http::Request;
use tidemark_app::audit;
use tidemark_aws::{Context, Error, http, tables::audit_log::AuditOrder};
use tidemark_core::{
    model::principal::Principal,
    wire::{audit::AuditList, problem::Problem},
};

pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<AuditList, Error> {
    http::reader(principal)?;
    let order = match http::query_parameter(request, "order") {
        None | Some("newest") => AuditOrder::Newest,
        Some("oldest") => AuditOrder::Oldest,
        Some(_) => return Err(Problem::malformed("order", "must be newest or oldest").into()),
    };
    let limit = http::list_limit(request)?;
    let after = audit::decode_cursor(order, http::query_parameter(request, "cursor"))?;

    audit::list(context, principal, order, after, limit).await
}
