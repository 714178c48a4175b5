//! The media bucket (§6): signs uploads, checks uploaded objects, and keeps the objects that pushed
//! items reference. `tidemark-core` decides which uploads are allowed and what a key guarantees.
//!
//! An upload is stored under `incoming/`, where the bucket's lifecycle rule deletes it after some
//! days. The first push that references it copies it to its final key. Therefore unreferenced
//! uploads expire, and a verified object cannot be replaced, because no URL is signed for its final
//! key.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::head_object::HeadObjectOutput,
    presigning::PresigningConfig,
};
use aws_types::SdkConfig;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use tidemark_core::{
    rules::media::{Keyring, MediaCheck, MediaKey, Promise},
    wire::media::PresignResponse,
};

use crate::{
    error::Error,
    settings::{MediaSettings, SettingsError},
};

/// The maximum number of uploads that are checked and kept concurrently.
const PARALLEL_CHECKS: usize = 16;

/// A header that the SDK adds to every request within Lambda. It is not signed, and devices do not
/// need it.
const TRACE_HEADER: &str = "x-amzn-trace-id";

/// The client of the media bucket with its settings.
#[derive(Debug, Clone)]
pub struct Media {
    client: Client,
    bucket: String,
    url_seconds: u64,
    keyring: Keyring,
    accepts_old_keys: bool,
}

/// Creates an S3 client for the buckets of a deployment. With a custom endpoint (LocalStack) it
/// uses path-style addressing, because no DNS resolves the bucket as a host name.
pub fn client(config: &SdkConfig) -> Client {
    let has_custom_endpoint =
        config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(has_custom_endpoint)
            .build(),
    )
}

impl Media {
    /// Creates the client of the bucket in these settings.
    ///
    /// # Errors
    /// Returns [`SettingsError::Missing`] if the deployment gives this function no secret for media
    /// keys.
    pub fn new(client: Client, settings: &MediaSettings) -> Result<Self, SettingsError> {
        Ok(Self {
            client,
            bucket: settings.bucket.clone(),
            url_seconds: settings.url_seconds,
            keyring: settings
                .keyring
                .clone()
                .ok_or(SettingsError::Missing("MEDIA_SECRET"))?,
            accepts_old_keys: settings.accepts_old_keys,
        })
    }

    /// Returns the secrets that authenticate media keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Returns whether keys without a MAC are accepted on their first reference.
    pub fn accepts_old_keys(&self) -> bool {
        self.accepts_old_keys
    }

    /// Signs an upload at the time `now`, without a network call. The content type, the exact
    /// length and the checksum, if there is one, are part of the signature, so S3 rejects any other
    /// upload. The SDK adds no checksum to a presigned request.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the function has no valid credentials.
    pub async fn presign(
        &self,
        promise: &Promise,
        now: DateTime<Utc>,
    ) -> Result<PresignResponse, Error> {
        let failed =
            |error: &dyn std::fmt::Display| Error::unavailable(format!("presign: {error}"));

        let config = PresigningConfig::builder()
            .start_time(now.into())
            .expires_in(Duration::from_secs(self.url_seconds));
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(promise.key.arrival())
            .content_type(&promise.content_type)
            .content_length(i64::try_from(promise.content_length).map_err(|error| failed(&error))?)
            .set_checksum_sha256(promise.sha256.clone());

        let signed = put
            .presigned(config.build().map_err(|error| failed(&error))?)
            .await;
        let signed = signed.map_err(|error| Error::failed_call("presign", error))?;

        let headers = signed.headers().filter(|(name, _)| *name != TRACE_HEADER);
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();

        Ok(PresignResponse {
            upload_url: signed.uri().to_owned(),
            key: promise.key.to_string(),
            method: signed.method().to_owned(),
            headers,
            // The time of the signature has no fractions of a second.
            expires_at: DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now)
                + Duration::from_secs(self.url_seconds),
        })
    }

    /// Checks the uploads under these keys concurrently, and changes nothing.
    pub async fn check(&self, keys: Vec<String>) -> HashMap<String, MediaCheck> {
        self.check_all(keys, false).await
    }

    /// Checks the uploads under these keys concurrently, and keeps each verified upload.
    pub async fn check_and_keep(&self, keys: Vec<String>) -> HashMap<String, MediaCheck> {
        self.check_all(keys, true).await
    }

    async fn check_all(&self, keys: Vec<String>, keeps: bool) -> HashMap<String, MediaCheck> {
        let keys: HashSet<String> = keys.into_iter().collect();
        let checks = stream::iter(keys).map(async |key| {
            let checked = self
                .check_one(&key, keeps)
                .await
                .unwrap_or_else(|unverified| unverified);
            (key, checked)
        });
        checks.buffer_unordered(PARALLEL_CHECKS).collect().await
    }

    /// Checks the upload under a key: the kept object, or otherwise the object under `incoming/`,
    /// which is kept if it is verified and `keeps` is set.
    async fn check_one(&self, key: &str, keeps: bool) -> Result<MediaCheck, MediaCheck> {
        if let Some(object) = self.head(key).await? {
            return Ok(compare(key, &object));
        }

        let Some(arrived) = MediaKey::parse(key).map(|key| key.arrival()) else {
            return Ok(MediaCheck::absent());
        };
        let Some(object) = self.head(&arrived).await? else {
            return Ok(MediaCheck::absent());
        };

        let checked = compare(key, &object);
        if keeps && matches!(checked, MediaCheck::Verified(_)) {
            self.keep(&arrived, key, object.e_tag()).await?;
        }
        Ok(checked)
    }

    async fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>, MediaCheck> {
        let error = match self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(object) => return Ok(Some(object)),
            Err(error) => error,
        };

        // A response to HEAD has no body, so only its status identifies the error.
        match error
            .raw_response()
            .map(|response| response.status().as_u16())
        {
            Some(404) => Ok(None),
            // This includes 403: S3 returns 404 for a missing key if the function may list the
            // bucket.
            _ => Err(unavailable("head_object", error)),
        }
    }

    /// Copies the checked object to its final key. Copies nothing if it was replaced after the
    /// check.
    async fn keep(&self, arrived: &str, key: &str, e_tag: Option<&str>) -> Result<(), MediaCheck> {
        let source = format!("{}/{arrived}", self.bucket);
        let copy = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(key)
            .copy_source(source);
        let copied = copy
            .set_copy_source_if_match(e_tag.map(str::to_owned))
            .send()
            .await;
        copied
            .map(|_| ())
            .map_err(|error| unavailable("copy_object", error))
    }
}

fn compare(key: &str, object: &HeadObjectOutput) -> MediaCheck {
    let content_length = object
        .content_length()
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or_default();
    MediaCheck::compare(
        key,
        content_length,
        object.content_type().unwrap_or_default(),
    )
}

fn unavailable<E, R>(attempt: &str, error: SdkError<E, R>) -> MediaCheck
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let detail = Error::failed_call(attempt, error).to_string();
    tracing::error!(%detail, "S3 is unavailable");
    MediaCheck::Unavailable
}
