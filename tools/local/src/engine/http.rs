//! The AWS SDK on the engine without a socket: an HTTP client for the SDK that calls an [`Engine`]
//! inline, and therefore in a repeatable order. A hook before and after each call lets tests lose,
//! delay or replace responses.

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

/// One call of the SDK to an engine.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Name of the operation, for example "PutItem".
    pub operation: &'a str,
    /// Request body in DynamoDB JSON. For a call to the media store, the path with bucket and key.
    pub body: &'a [u8],
}

/// Effect of a hook on a call or on its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFate {
    /// The call continues without a change.
    Continue,
    /// The connection breaks. The SDK sees a dispatch failure, and its retries see a transient
    /// error.
    Lose,
    /// This response is returned instead, for example a throttle or a 500.
    Reply(Reply),
    /// No response is ever received.
    Hang,
}

/// Intercepts calls in tests. Both methods may wait before they return, which delays the call.
pub trait Hook: Send + Sync {
    /// Runs before the engine receives the call. With any other result than `Continue`, the engine
    /// never receives it.
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate>;
    /// Runs after the engine has executed the call. With any other result than `Continue`, the
    /// caller does not receive the response.
    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate>;
}

/// The hook that lets every call continue.
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
    /// Returns a client without a hook.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self::with_hook(engine, Arc::new(NoHook))
    }

    /// Returns a client that calls `hook` before and after each request.
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

/// Returns the response that a hook puts in place of the real one, if any. `Lose` fails, and `Hang`
/// never completes.
pub(crate) async fn evaluate(fate: CallFate) -> Result<Option<Reply>, ConnectorError> {
    match fate {
        CallFate::Continue => Ok(None),
        CallFate::Reply(reply) => Ok(Some(reply)),
        CallFate::Lose => Err(ConnectorError::io("the connection was lost".into())),
        CallFate::Hang => std::future::pending().await,
    }
}

/// Converts a reply into the SDK's response type.
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

#[cfg(test)]
mod hook_tests;
#[cfg(test)]
mod tests;
