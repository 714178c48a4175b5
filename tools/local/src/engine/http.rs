//! The AWS SDK on the engine without a socket: an HTTP client for the SDK that calls an [`Engine`]
//! inline, and therefore in a repeatable order. A hook before and after each call lets tests lose,
//! delay or replace responses.

mod hook;
mod sdk;

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::{Engine, Reply};

pub use hook::{Call, CallFate, Hook, NoHook};
pub use sdk::{dynamodb_client, dynamodb_config};

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

#[cfg(test)]
mod hook_tests;
#[cfg(test)]
mod tests;
