//! Fetches the key set from its URL.

use std::time::Duration;

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector as _, SharedHttpConnector},
        orchestrator::HttpRequest,
    },
    http::Request,
};
use aws_smithy_types::body::SdkBody;
use jsonwebtoken::jwk::JwkSet;

use crate::error::Error;

const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
const KEY_SET_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) connector: SharedHttpConnector,
}

impl Source {
    /// Fetches the key set with the HTTP connector of the SDK, so that the binary contains one TLS
    /// stack.
    pub(super) async fn fetch(&self) -> Result<JwkSet, Error> {
        let outage = |what: String| {
            Error::unavailable(format!("fetching the key set from {}: {what}", self.url))
        };

        let mut request: HttpRequest = Request::new(SdkBody::empty());
        request
            .set_uri(self.url.as_str())
            .map_err(|error| outage(error.to_string()))?;

        let fetch = async {
            let response = self
                .connector
                .call(request)
                .await
                .map_err(|error| outage(format!("{error:?}")))?;
            if !response.status().is_success() {
                return Err(outage(format!("status {}", response.status().as_u16())));
            }

            use http_body_util::{BodyExt as _, Limited};
            let body = Limited::new(response.into_body(), KEY_SET_BYTES_MAX);
            Ok(body
                .collect()
                .await
                .map_err(|error| outage(error.to_string()))?
                .to_bytes())
        };

        let body = tokio::time::timeout(FETCH_TIMEOUT, fetch)
            .await
            .map_err(|_| outage("timed out".into()))??;
        read(&body)
    }
}

pub(super) fn read(text: &[u8]) -> Result<JwkSet, Error> {
    // A key set is not a stored item, so the error is not `Error::Corrupt`.
    serde_json::from_slice(text)
        .map_err(|error| Error::unavailable(Error::undecoded("key set", error).to_string()))
}
