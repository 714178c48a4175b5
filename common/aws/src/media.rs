//! The media bucket (§6): signing uploads, looking at what was uploaded, and keeping what a pushed
//! item names. What may be uploaded, and what a key promises, is decided in `tidemark-core`.
//!
//! An upload arrives below `incoming/`, where the bucket's lifecycle removes it after some days.
//! The first push that names it copies it to its key, where it stays. So what nobody ever names
//! goes by itself, and what was verified cannot be replaced: no URL is signed for it.

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
    media::{Keyring, MediaCheck, MediaKey, Promise},
    protocol::media::PresignResponse,
};

use crate::{
    batch::Mode,
    failure::Failure,
    settings::{MediaSettings, SettingsError},
};

/// Uploads looked at, and kept, at once.
const PARALLEL_CHECKS: usize = 16;

/// What the SDK adds to every request it makes within Lambda. It is not signed, and none of the
/// device's business.
const TRACE_HEADER: &str = "x-amzn-trace-id";

/// The media bucket.
#[derive(Debug, Clone)]
pub struct Media {
    client: Client,
    bucket: String,
    url_seconds: u64,
    keyring: Keyring,
    accepts_old_keys: bool,
}

/// A client for the buckets of a deployment. Behind an endpoint of one's own (LocalStack) the
/// bucket stands in the path: there is no name service that knows it as a host.
pub fn client(config: &SdkConfig) -> Client {
    let has_own_endpoint =
        config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(has_own_endpoint)
            .build(),
    )
}

impl Media {
    /// The bucket of these settings.
    ///
    /// # Errors
    /// [`SettingsError::Missing`] where the deployment gives this function no secret for media
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

    /// The secrets that keys are authenticated with.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whether keys without a MAC are accepted where they are named for the first time.
    pub fn accepts_old_keys(&self) -> bool {
        self.accepts_old_keys
    }

    /// Signs an upload at the moment `now`: arithmetic, no call is made. Type, exact length and,
    /// when given, checksum are part of the signature, so the object store refuses anything else.
    /// (The SDK adds no checksum of its own to a presigned request.)
    ///
    /// # Errors
    /// The credentials of the function cannot be had.
    pub async fn presign(
        &self,
        promise: &Promise,
        now: DateTime<Utc>,
    ) -> Result<PresignResponse, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Outage(format!("presign: {error}"));
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
        let signed = signed.map_err(|error| Failure::outage("presign", error))?;
        let headers = signed.headers().filter(|(name, _)| *name != TRACE_HEADER);
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(PresignResponse {
            upload_url: signed.uri().to_owned(),
            key: promise.key.to_string(),
            method: signed.method().to_owned(),
            headers,
            // The signature's time has no fractions of a second.
            expires_at: DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now)
                + Duration::from_secs(self.url_seconds),
        })
    }

    /// What was uploaded under these keys, looked at side by side. What is as promised is kept, if
    /// `mode` is to write.
    pub async fn check(&self, keys: Vec<String>, mode: Mode) -> HashMap<String, MediaCheck> {
        let keys: HashSet<String> = keys.into_iter().collect();
        let checks = stream::iter(keys).map(async |key| {
            let checked = self
                .kept(&key, mode)
                .await
                .unwrap_or_else(|otherwise| otherwise);
            (key, checked)
        });
        checks.buffer_unordered(PARALLEL_CHECKS).collect().await
    }

    /// The upload under a key: the one that is kept, or else the one that has arrived, which is
    /// kept from now on.
    async fn kept(&self, key: &str, mode: Mode) -> Result<MediaCheck, MediaCheck> {
        if let Some(object) = self.look_at(key).await? {
            return Ok(compare(key, &object));
        }
        let Some(arrived) = MediaKey::parse(key).map(|key| key.arrival()) else {
            return Ok(MediaCheck::absent());
        };
        let Some(object) = self.look_at(&arrived).await? else {
            return Ok(MediaCheck::absent());
        };
        let checked = compare(key, &object);
        if mode == Mode::Apply && matches!(checked, MediaCheck::Verified(_)) {
            self.keep(&arrived, key, object.e_tag()).await?;
        }
        Ok(checked)
    }

    async fn look_at(&self, key: &str) -> Result<Option<HeadObjectOutput>, MediaCheck> {
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
        // An answer to HEAD has no body, so only its status says what is wrong.
        match error
            .raw_response()
            .map(|response| response.status().as_u16())
        {
            Some(404) => Ok(None),
            // 403 among them: whoever may list the bucket is told 404 of what is not there.
            _ => Err(unavailable("head_object", error)),
        }
    }

    /// Copies what was looked at: if it was replaced since, nothing is copied.
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
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let detail = Failure::outage(attempt, error).to_string();
    tracing::error!(%detail, "the object store did not answer");
    MediaCheck::Unavailable
}
