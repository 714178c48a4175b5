//! The SDK's DynamoDB client on the engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};

use super::EngineClient;

/// Returns an SDK configuration over `client`: fixed credentials, no sockets, a first retry after
/// at most 10 ms, and its own retry budget, because by default the SDK shares one budget among all
/// clients of a process.
#[must_use]
pub fn dynamodb_config(client: EngineClient) -> Builder {
    static CLIENTS: AtomicU64 = AtomicU64::new(0);
    let partition = format!(
        "tidemark-engine-{}",
        CLIENTS.fetch_add(1, Ordering::Relaxed)
    );

    Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://dynamodb.localhost")
        .credentials_provider(Credentials::new(
            "tidemark", "tidemark", None, None, "engine",
        ))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
        .retry_partition(RetryPartition::new(partition))
        // The protection measures real time, while tests advance virtual time. Nothing streams
        // here.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client)
}

/// Returns a DynamoDB client with [`dynamodb_config`].
#[must_use]
pub fn dynamodb_client(client: EngineClient) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::from_conf(dynamodb_config(client).build())
}
