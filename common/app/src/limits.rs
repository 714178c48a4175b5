//! The limits that clients must observe, defined by the protocol or configured by this deployment.

use tidemark_aws::Settings;
use tidemark_core::wire::limits::{LimitsResponse, MediaLimits, Retention};

/// Returns the limits of a deployment with these settings.
pub fn limits(settings: &Settings) -> LimitsResponse {
    let media = MediaLimits {
        types: settings.media.types.clone(),
        bytes_max: settings.media.bytes_max,
        url_seconds: settings.media.url_seconds,
    };
    let retention = Retention {
        log_days: settings.log_retention.num_days().unsigned_abs(),
        batch_days: settings.batch_retention.num_days().unsigned_abs(),
    };
    LimitsResponse::new(media, retention)
}
