//! An in-memory bucket. The store under `cargo run` uses separate threads, whose scheduling does
//! not follow from a seed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use aws_credential_types::Credentials;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;

/// A bucket; its clones share the same objects.
#[derive(Debug, Clone, Default)]
pub struct Bucket(Arc<Mutex<BTreeSet<String>>>);

impl Bucket {
    /// Returns an S3 client for the bucket.
    pub fn client(&self) -> aws_sdk_s3::Client {
        let config = Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .endpoint_url("http://bucket.localhost")
            .force_path_style(true)
            .credentials_provider(Credentials::new(
                "tidemark",
                "tidemark",
                None,
                None,
                "simulation",
            ))
            .http_client(self.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Returns the number of objects in the bucket.
    pub fn objects(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn response(&self, request: &HttpRequest) -> u16 {
        let mut objects = self.0.lock().unwrap();
        let key = request.uri().to_owned();
        match request.method() {
            "PUT" if objects.contains(&key) && request.headers().contains_key("if-none-match") => {
                412
            }
            "PUT" => {
                objects.insert(key);
                200
            }
            _ => 404,
        }
    }
}

impl HttpConnector for Bucket {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let status = self.response(&request);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(
            status.try_into().unwrap(),
            SdkBody::empty(),
        )))
    }
}

impl HttpClient for Bucket {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
