//! The limits for clients, defined by the protocol or configured by this deployment.

use lambda_http::Request;
use tidemark_aws::{Context, Error};
use tidemark_core::wire::limits::{LimitsResponse, MediaLimits, Retention};

/// Serves `GET /sync/limits`.
pub(crate) async fn limits(context: &Context, request: &Request) -> Result<LimitsResponse, Error> {
    context.verifier.principal(request).await?;
    let settings = &context.settings;

    let media = MediaLimits {
        types: settings.media.types.clone(),
        bytes_max: settings.media.bytes_max,
        url_seconds: settings.media.url_seconds,
    };
    let retention = Retention {
        log_days: settings.log_retention.num_days().unsigned_abs(),
        batch_days: settings.batch_retention.num_days().unsigned_abs(),
    };
    Ok(LimitsResponse::new(media, retention))
}
