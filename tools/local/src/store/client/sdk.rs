//! The SDK's S3 client on the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};

use super::super::{ACCESS_KEY, SECRET_KEY};
use super::StoreClient;

/// Returns a function's S3 client over `client`, with the development credentials, path-style
/// requests to `endpoint`, which is the base of upload URLs, and its own retry budget. Lambda's
/// credentials have a session token, which is part of each URL that they sign. Here the token is
/// the function's name, so that a URL identifies its signer.
#[must_use]
pub fn s3_client(client: StoreClient, endpoint: &str, function: &str) -> aws_sdk_s3::Client {
    static CLIENTS: AtomicU64 = AtomicU64::new(0);
    let partition = format!("tidemark-store-{}", CLIENTS.fetch_add(1, Ordering::Relaxed));

    let config = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(Credentials::new(
            ACCESS_KEY,
            SECRET_KEY,
            Some(function.to_owned()),
            None,
            "store",
        ))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
        .retry_partition(RetryPartition::new(partition))
        // The protection measures real time, while tests advance virtual time.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client);
    aws_sdk_s3::Client::from_conf(config.build())
}
