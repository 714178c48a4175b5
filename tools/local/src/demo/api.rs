//! Requests to the API of a local runner, over plain HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::error::DemoError;

/// Longest text of a rejection that an error shows, in characters.
const PROBLEM_CHARS_MAX: usize = 300;

/// A connection pool to one runner.
pub struct DemoApi {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl DemoApi {
    /// Returns the API of the runner at `url`, which has no slash at its end.
    pub fn new(url: &str) -> Self {
        Self {
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            url: url.to_owned(),
        }
    }

    /// Checks that a runner answers.
    ///
    /// # Errors
    /// Returns [`DemoError::NoRunner`] if nothing answers, or something that is not a runner.
    pub async fn check(&self) -> Result<(), DemoError> {
        let request = Request::get(format!("{}/health", self.url)).body(Full::default())?;
        match self.exchange(request).await {
            Ok((StatusCode::OK, _)) => Ok(()),
            _ => Err(DemoError::NoRunner {
                url: self.url.clone(),
            }),
        }
    }

    /// Posts JSON text to a route below `/api/v1/mobile/` and returns the response.
    ///
    /// # Errors
    /// Returns an error if the runner does not answer, rejects the request, or answers with
    /// something else than a `T`.
    pub async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        token: &str,
        body: String,
    ) -> Result<T, DemoError> {
        self.call(Method::POST, route, token, body).await
    }

    /// Requests a route below `/api/v1/mobile/`, which may contain a query, and returns the
    /// response.
    ///
    /// # Errors
    /// Returns the same errors as [`DemoApi::post`].
    pub async fn get<T: DeserializeOwned>(&self, route: &str, token: &str) -> Result<T, DemoError> {
        self.call(Method::GET, route, token, String::new()).await
    }

    /// Uploads a file to a URL with these headers. HTTP adds the length.
    ///
    /// # Errors
    /// Returns an error if the runner does not answer or rejects the upload.
    pub async fn put(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        content: Vec<u8>,
    ) -> Result<(), DemoError> {
        let mut request = Request::put(url);
        for (name, value) in headers {
            if *name != header::CONTENT_LENGTH.as_str() {
                request = request.header(name, value);
            }
        }
        self.accepted(request.body(Full::from(content))?)
            .await
            .map(drop)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &str,
        token: &str,
        body: String,
    ) -> Result<T, DemoError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/mobile/{route}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;

        let response = self.accepted(request).await?;
        serde_json::from_slice(&response).map_err(|source| DemoError::Json {
            text: format!("the response to {route}"),
            source,
        })
    }

    /// Sends a request and returns the body of its response, which has status 200.
    async fn accepted(&self, request: Request<Full<Bytes>>) -> Result<Bytes, DemoError> {
        let name = format!("{} {}", request.method(), request.uri().path());
        match self.exchange(request).await {
            Ok((StatusCode::OK, body)) => Ok(body),
            Ok((status, body)) => {
                let problem = String::from_utf8_lossy(&body);
                Err(DemoError::Rejected {
                    request: name,
                    status,
                    problem: problem.chars().take(PROBLEM_CHARS_MAX).collect(),
                })
            }
            Err(()) => Err(DemoError::NoResponse { request: name }),
        }
    }

    /// Sends a request and returns the response, or `Err` if there is none.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ()> {
        let response = self.http.request(request).await.map_err(drop)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(drop)?;
        Ok((status, body.to_bytes()))
    }
}
