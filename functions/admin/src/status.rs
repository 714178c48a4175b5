//! Serves `GET /status`: the change logs of all channels of a tenant, or of the channel in the query
//! with a comparison of its resources, and the number of dead letters.

use lambda_http::Request;
use tidemark_app::status;
use tidemark_aws::{Context, Error, dead_letters::DeadLetters, http};
use tidemark_core::{
    model::{channel::Channel, principal::Principal},
    wire::{problem::Problem, status::StatusResponse},
};

pub(crate) async fn get(
    context: &Context,
    dead_letters: &DeadLetters,
    request: &Request,
    principal: &Principal,
) -> Result<StatusResponse, Error> {
    http::reader(principal)?;
    let cursor = http::query_parameter(request, "cursor");

    let Some(name) = http::query_parameter(request, "channel") else {
        let limit = http::list_limit(request)?;
        let after = status::decode_cursor(cursor)?;
        return status::of_channels(context, dead_letters, principal, after, limit).await;
    };

    let channel = Channel::parse(name).ok_or_else(|| {
        Problem::malformed("channel", "must be tenant, user/<sub> or group/<name>")
    })?;
    let after = status::decode_channel_cursor(principal, &channel, cursor)?;
    status::of_channel(context, dead_letters, principal, channel, after).await
}
