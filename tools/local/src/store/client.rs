//! The AWS SDK on the embedded S3 without a socket, with the same hook before and after each call
//! as the engine's client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::header::HOST;
use http::{HeaderValue, Method};

use super::{ACCESS_KEY, SECRET_KEY, Store};
use crate::engine::Reply;
use crate::engine::http::{Call, Hook, NoHook, evaluate, respond};

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

/// Returns the path that a request addresses: `/bucket/key`, or `/bucket/prefix` of a listing.
#[must_use]
pub fn target(uri: &http::Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let prefix = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "prefix")
        .map(|(_, prefix)| prefix);
    match prefix {
        Some(prefix) => format!("{}/{prefix}", uri.path().trim_end_matches('/')),
        None => uri.path().to_owned(),
    }
}

/// Returns S3's operation name of a request for an object.
fn operation(parts: &http::request::Parts) -> &'static str {
    match parts.method {
        Method::PUT if parts.headers.contains_key("x-amz-copy-source") => "CopyObject",
        Method::HEAD => "HeadObject",
        Method::GET
            if parts
                .uri
                .query()
                .is_some_and(|query| query.contains("list-type=2")) =>
        {
            "ListObjectsV2"
        }
        Method::GET => "GetObject",
        Method::PUT => "PutObject",
        Method::DELETE => "DeleteObject",
        _ => "PostObject",
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
