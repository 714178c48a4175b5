//! The AWS SDK on the engine without a socket: an HTTP client for the SDK that answers from an
//! [`Engine`], inline and therefore in a repeatable order, with a hook on either side of each call
//! where tests lose, delay or forge answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::{Engine, Reply};
use crate::BoxFuture;

/// One call on its way to an engine.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The operation's name: "PutItem".
    pub operation: &'a str,
    /// The request: DynamoDB JSON; of a call to the media store its path, bucket and key.
    pub body: &'a [u8],
}

/// What becomes of a call, or of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFate {
    /// Nothing special.
    Continue,
    /// The connection breaks: the SDK sees a dispatch failure, and its retries see a transient
    /// error.
    Lose,
    /// This is answered instead: a throttle, a 500.
    Reply(Reply),
    /// No answer ever comes.
    Hang,
}

/// Where a test steps in. Both sides may wait before they decide, which delays the call.
pub trait Hook: Send + Sync {
    /// Before the engine sees the call: any other verdict than `Continue`, and it never does.
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate>;
    /// After the effect took place: any other verdict than `Continue` keeps the answer from the
    /// caller.
    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate>;
}

/// The hook that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

/// An HTTP client for the SDK that calls an [`Engine`].
#[derive(Clone)]
pub struct EngineClient {
    engine: Engine,
    hook: Arc<dyn Hook>,
}

impl EngineClient {
    /// A client that only calls.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self::with_hook(engine, Arc::new(NoHook))
    }

    /// A client whose calls pass the hook.
    #[must_use]
    pub fn with_hook(engine: Engine, hook: Arc<dyn Hook>) -> Self {
        Self { engine, hook }
    }

    async fn exchange(&self, operation: &str, body: &[u8]) -> Result<HttpResponse, ConnectorError> {
        let call = Call { operation, body };
        let reply = match evaluate(self.hook.before(&call).await).await? {
            Some(forged) => forged,
            None => {
                let reply = self.engine.call(operation, body);
                evaluate(self.hook.after(&call, &reply).await)
                    .await?
                    .unwrap_or(reply)
            }
        };
        respond(reply)
    }
}

impl std::fmt::Debug for EngineClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineClient")
    }
}

impl HttpConnector for EngineClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            client
                .exchange(operation, request.body().bytes().unwrap_or_default())
                .await
        })
    }
}

impl HttpClient for EngineClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// What a verdict puts in the answer's place, if anything.
pub(crate) async fn evaluate(verdict: CallFate) -> Result<Option<Reply>, ConnectorError> {
    match verdict {
        CallFate::Continue => Ok(None),
        CallFate::Reply(reply) => Ok(Some(reply)),
        CallFate::Lose => Err(ConnectorError::io("the connection was lost".into())),
        CallFate::Hang => std::future::pending().await,
    }
}

/// A reply as the SDK gets it.
pub(crate) fn respond(reply: Reply) -> Result<HttpResponse, ConnectorError> {
    let status = reply
        .status
        .try_into()
        .map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

/// An SDK configuration on that client: fixed credentials, no sockets, first retry after at most 10
/// ms, and a retry budget of its own, because the SDK otherwise shares one among all clients of a
/// process.
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
        // It measures the real clock while tests let virtual time pass; and nothing streams here.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client)
}

/// A DynamoDB client with [`dynamodb_config`].
#[must_use]
pub fn dynamodb_client(client: EngineClient) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::from_conf(dynamodb_config(client).build())
}

#[cfg(test)]
#[path = "hook_tests.rs"]
mod hook_tests;
#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
