//! The buckets of a deployment, as devices and operators access them.

use std::collections::BTreeMap;

use lambda_http::http::{Request, header};
use serde_json::Value;
use tidemark::store::{
    BUCKET, DEAD_LETTER_BUCKET,
    client::{StoreClient, s3_client},
};

use super::{STORE_URL, Stack};
use crate::ApiResponse;

impl Stack {
    /// Uploads to a presigned URL with the headers of the presign response. Returns the store's
    /// status.
    pub async fn upload(&self, presigned: &Value, body: &[u8]) -> u16 {
        let headers = presigned["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        self.put(presigned["upload_url"].as_str().unwrap(), &headers, body)
            .await
            .status
    }

    /// Puts a body to a URL of the media store, with exactly these headers.
    pub async fn put(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> ApiResponse {
        self.store_request("PUT", url, headers, body).await
    }

    /// Deletes the object with this key from the media store, as the bucket's lifecycle does.
    pub async fn remove(&self, key: &str) {
        let bucket = s3_client(StoreClient::new(self.store.clone()), STORE_URL, "test");
        bucket
            .delete_object()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    /// Sends a request to the media store, with exactly these headers.
    pub async fn store_request(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> ApiResponse {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::HOST, STORE_URL.trim_start_matches("http://"));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = request.body(body.to_vec()).unwrap();

        let uri = request.uri().clone();
        let (parts, body) = self.store.exchange(request).await.into_parts();
        // S3 checks the signature first, and then the permissions of the signer.
        if method == "PUT" && parts.status != 403 {
            self.watch.note_upload(&uri);
        }

        ApiResponse {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body).unwrap(),
        }
    }

    /// Returns the objects of the dead-letter bucket: by key, the dead-lettered record with its
    /// metadata.
    pub async fn dead_letters(&self) -> BTreeMap<String, Value> {
        let bucket = s3_client(StoreClient::new(self.store.clone()), STORE_URL, "test");
        let listed = bucket
            .list_objects_v2()
            .bucket(DEAD_LETTER_BUCKET)
            .send()
            .await
            .unwrap();

        let mut objects = BTreeMap::new();
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            let object = bucket
                .get_object()
                .bucket(DEAD_LETTER_BUCKET)
                .key(key)
                .send()
                .await
                .unwrap();
            let object = object.body.collect().await.unwrap().into_bytes();
            objects.insert(key.to_owned(), serde_json::from_slice(&object).unwrap());
        }
        objects
    }
}
