//! The AWS SDK on the embedded S3 without a socket, with the same hook before and after each call
//! as the engine's client.

mod operation;
mod sdk;

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::HeaderValue;
use http::header::HOST;

use super::Store;
use crate::engine::Reply;
use crate::engine::http::{Call, Hook, NoHook, evaluate, respond};

use operation::operation;
pub use operation::target;
pub use sdk::s3_client;

/// An HTTP client for the SDK that calls a [`Store`].
#[derive(Clone)]
pub struct StoreClient {
    store: Store,
    hook: Arc<dyn Hook>,
}

impl std::fmt::Debug for StoreClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreClient")
    }
}

impl StoreClient {
    /// Returns a client without a hook.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::with_hook(store, Arc::new(NoHook))
    }

    /// Returns a client that calls `hook` before and after each request.
    #[must_use]
    pub fn with_hook(store: Store, hook: Arc<dyn Hook>) -> Self {
        Self { store, hook }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let (mut parts, body) = request.into_parts();
        // Over a network, the connection would add the `Host` header.
        let host = parts
            .uri
            .authority()
            .and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        host.into_iter()
            .for_each(|host| drop(parts.headers.insert(HOST, host)));
        let body = body.bytes().unwrap_or_default().to_vec();

        let path = target(&parts.uri);
        let call = Call {
            operation: operation(&parts),
            body: path.as_bytes(),
        };
        if let Some(forged) = evaluate(self.hook.before(&call).await).await? {
            return respond(forged);
        }

        let (parts, body) = self
            .store
            .exchange(http::Request::from_parts(parts, body))
            .await
            .into_parts();
        let reply = Reply {
            status: parts.status.as_u16(),
            body,
        };
        if let Some(forged) = evaluate(self.hook.after(&call, &reply).await).await? {
            return respond(forged);
        }

        let response = http::Response::from_parts(parts, SdkBody::from(reply.body));
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for StoreClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move { client.exchange(request).await })
    }
}

impl HttpClient for StoreClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
