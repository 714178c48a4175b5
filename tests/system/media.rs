//! Media (§6): upload URLs, the uploads that the object store accepts for them, and the lookup of
//! an upload.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod authentic;
mod check;
mod decisions;
mod keep;
mod presign;
mod push;
mod rejections;
mod upload;

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::{
    engine::http::NoHook,
    store::{
        BUCKET,
        client::{StoreClient, s3_client},
    },
};
use tidemark_core::rules::media::{Keyring, MediaKey, Promise};
use tidemark_tests::{ApiResponse, Stack};

/// SHA-256 of [`PHOTO`], in base64.
const PHOTO_SHA256: &str = "RwFoG/Iuo4yUbrPcVnxNZ2stOAlpeR0DSUJKV5Nry2k=";
/// The content that the tests upload.
const PHOTO: &[u8] = b"a photo, more or less";

/// Requests an upload URL as a user of `acme`.
async fn ask(stack: &Stack, user: &str, request: &Value) -> ApiResponse {
    stack
        .post(
            "media/presign",
            &stack.token("acme", user, &[], &[]),
            request,
        )
        .await
}

/// Returns a request to upload the photo.
fn photo() -> Value {
    json!({"filename": "photo.jpg", "content_type": "image/jpeg", "content_length": PHOTO.len()})
}

/// Returns an upload URL for the photo.
async fn presigned(stack: &Stack) -> Value {
    ask(stack, "ana", &photo()).await.ok()
}

/// Returns an upload URL for the photo as a JPEG, under a key that may state other properties.
async fn presigned_under(stack: &Stack, key: MediaKey) -> Value {
    let promise = Promise {
        key,
        content_type: "image/jpeg".into(),
        content_length: PHOTO.len() as u64,
        sha256: None,
    };
    let media = stack.media("presign", Arc::new(NoHook));
    serde_json::to_value(media.presign(&promise, stack.now()).await.unwrap()).unwrap()
}

/// Returns the keyring that authenticates the media keys of a deployment.
fn keyring(stack: &Stack) -> Keyring {
    stack.media("presign", Arc::new(NoHook)).keyring().clone()
}

/// Returns a key in the format that presign returned before keys had a MAC.
fn old_key(user: &str, number: u128) -> String {
    format!(
        "uploads/acme/{user}/{number:032x}.{}.image~jpeg.jpg",
        PHOTO.len()
    )
}

/// Uploads the photo to the object at which the upload of a key arrives.
async fn upload_to(stack: &Stack, key: &str) {
    let bucket = s3_client(
        StoreClient::new(stack.store.clone()),
        "http://media.localhost",
        "test",
    );
    let arrival = key.replacen("uploads/", "incoming/", 1);
    let put = bucket
        .put_object()
        .bucket(BUCKET)
        .key(arrival)
        .content_type("image/jpeg")
        .body(PHOTO.to_vec().into());
    put.send().await.unwrap();
}

/// Returns the object key at which the upload of a presign response arrives.
fn arrival(presigned: &Value) -> String {
    key(presigned).replacen("uploads/", "incoming/", 1)
}

/// Returns the content that the bucket stores under a key.
async fn stored(stack: &Stack, key: &str) -> Option<Vec<u8>> {
    let bucket = s3_client(
        StoreClient::new(stack.store.clone()),
        "http://media.localhost",
        "test",
    );
    let object = bucket
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .ok()?;
    Some(object.body.collect().await.unwrap().into_bytes().to_vec())
}

/// Returns the key of a presign response.
fn key(presigned: &Value) -> String {
    presigned["key"].as_str().unwrap().to_owned()
}
