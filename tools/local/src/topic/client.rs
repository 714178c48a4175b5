//! The AWS SDK on the topic without a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::http::{Call, Hook, NoHook, evaluate, respond};
use aws_sdk_sns::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_sns::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::Topic;

/// An HTTP client for the SDK that calls a [`Topic`].
#[derive(Clone)]
pub struct TopicClient {
    topic: Topic,
    hook: Arc<dyn Hook>,
}

impl TopicClient {
    /// Returns a client without a hook.
    #[must_use]
    pub fn new(topic: Topic) -> Self {
        Self::with_hook(topic, Arc::new(NoHook))
    }

    /// Returns a client that calls `hook` before and after each request.
    #[must_use]
    pub fn with_hook(topic: Topic, hook: Arc<dyn Hook>) -> Self {
        Self { topic, hook }
    }

    async fn exchange(&self, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
        let call = Call {
            operation: "Publish",
            body,
        };

        if let Some(forged) = evaluate(self.hook.before(&call).await).await? {
            return respond(forged);
        }
        let reply = self.topic.take(body);
        respond(
            evaluate(self.hook.after(&call, &reply).await)
                .await?
                .unwrap_or(reply),
        )
    }
}

impl std::fmt::Debug for TopicClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TopicClient")
    }
}

impl HttpConnector for TopicClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move {
            client
                .exchange(request.body().bytes().unwrap_or_default())
                .await
        })
    }
}

impl HttpClient for TopicClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Returns an SNS client over `client`, with fixed credentials and its own retry budget.
#[must_use]
pub fn sns_client(client: TopicClient) -> aws_sdk_sns::Client {
    static CLIENTS: AtomicU64 = AtomicU64::new(0);
    let partition = format!("tidemark-topic-{}", CLIENTS.fetch_add(1, Ordering::Relaxed));

    let config = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://sns.localhost")
        .credentials_provider(Credentials::new(
            "tidemark", "tidemark", None, None, "topic",
        ))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
        .retry_partition(RetryPartition::new(partition))
        // The protection measures real time, while tests advance virtual time. Nothing streams
        // here.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client);
    aws_sdk_sns::Client::from_conf(config.build())
}
