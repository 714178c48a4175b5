//! An HTTP client with persistent connections, one per concurrent request.

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// A client for the API at one address. Clones share their connections.
#[derive(Clone)]
pub struct Api {
    base: String,
    connections: Connections,
}

#[derive(Clone)]
enum Connections {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// A prepared request to the API.
#[derive(Debug, Clone)]
pub struct Request {
    /// The path below `/api/v1/mobile/`.
    pub route: &'static str,
    /// The bearer token of the caller.
    pub token: String,
    /// The request body as JSON text.
    pub body: Bytes,
}

impl Request {
    /// Creates a request with this body.
    pub fn new(route: &'static str, token: &str, body: &Value) -> Self {
        Self {
            route,
            token: token.to_owned(),
            body: body.to_string().into(),
        }
    }

    /// Creates a push of these items.
    pub fn push(token: &str, device_id: &str, items: &[Value]) -> Self {
        Self::new(
            "sync/push",
            token,
            &json!({"device_id": device_id, "client_sync_token": null, "items": items}),
        )
    }

    /// Creates a pull with a page size of 100.
    pub fn pull(token: &str, device_id: &str, since: &Value) -> Self {
        Self::new(
            "sync/pull",
            token,
            &json!({"since_token": since, "device_id": device_id, "limit": 100}),
        )
    }
}

impl Api {
    /// Creates a client for the API below this URL, without `/api/v1/mobile`.
    pub fn new(base: &str) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new());

        let connections = if base.starts_with("https://") {
            tcp.enforce_http(false);
            let tls = HttpsConnectorBuilder::new()
                .with_native_roots()
                .expect("the system's root certificates");
            Connections::Tls(client.build(tls.https_only().enable_http1().wrap_connector(tcp)))
        } else {
            Connections::Plain(client.build(tcp))
        };

        Self {
            base: base.trim_end_matches('/').to_owned(),
            connections,
        }
    }

    /// Returns the base URL without `/api/v1/mobile`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and returns the complete response body.
    ///
    /// # Panics
    /// Panics if the status is not 200, which aborts the measurement.
    pub async fn send(&self, request: &Request) -> Bytes {
        let (status, body) = self.exchange(request).await;
        assert_eq!(
            status,
            StatusCode::OK,
            "{}: {}",
            request.route,
            String::from_utf8_lossy(&body)
        );
        body
    }

    /// Sends a request and returns the response body as JSON.
    pub async fn ask(&self, request: &Request) -> Value {
        serde_json::from_slice(&self.send(request).await).unwrap()
    }

    async fn exchange(&self, request: &Request) -> (StatusCode, Bytes) {
        let sent = http::Request::post(format!("{}/api/v1/mobile/{}", self.base, request.route))
            .header(header::AUTHORIZATION, format!("Bearer {}", request.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(request.body.clone()))
            .unwrap();

        let response = match &self.connections {
            Connections::Plain(client) => client.request(sent),
            Connections::Tls(client) => client.request(sent),
        };
        let response = response.await.unwrap();

        let status = response.status();
        (
            status,
            response.into_body().collect().await.unwrap().to_bytes(),
        )
    }
}
