//! The embedded S3: buckets are folders, and signatures are checked against fixed development
//! credentials. It serves path-style requests (`/media/<key>`) and does not depend on the sync
//! protocol. The front routes both buckets to it.

pub mod client;
mod cors;
mod whole;

use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// Name of the bucket of uploads.
pub const BUCKET: &str = "media";
/// Name of the bucket of dead letters: stream records that could not be processed.
pub const DEAD_LETTER_BUCKET: &str = "failure";
/// Access key id that the embedded S3 accepts.
pub const ACCESS_KEY: &str = "tidemark";
/// Secret access key of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "tidemark-development-secret";

/// Largest response in bytes to a caller in this process.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The reason why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the media store in {folder}: {reason}")]
pub struct StoreError {
    folder: String,
    reason: String,
}

/// An embedded S3. Clones share the same folder.
#[derive(Clone)]
pub struct Store {
    service: S3Service,
    /// Held, never read: a temporary folder is deleted with the last clone.
    _folder: Option<Arc<tempfile::TempDir>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the store over the existing `folder`, and creates the buckets.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError {
            folder: folder.display().to_string(),
            reason,
        };
        for bucket in [BUCKET, DEAD_LETTER_BUCKET] {
            std::fs::create_dir_all(folder.join(bucket))
                .map_err(|error| failed(error.to_string()))?;
        }

        let files =
            s3s_fs::FileSystem::new(folder).map_err(|error| failed(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        // Without this setting s3s checks no signature, no expiry and no signed header.
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));

        Ok(Self {
            service: builder.build(),
            _folder: None,
        })
    }

    /// Opens a store over a temporary folder, which is deleted with the last clone.
    ///
    /// # Errors
    /// Returns an error if no temporary folder can be created.
    pub fn temporary() -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError {
            folder: "a temporary folder".to_owned(),
            reason: error.to_string(),
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let store = Self::open(folder.path())?;
        Ok(Self {
            _folder: Some(Arc::new(folder)),
            ..store
        })
    }

    /// Runs [`serve`](Self::serve) without streaming, for callers in this process. A response over
    /// [`RESPONSE_BYTES_MAX`] becomes a 500.
    pub async fn exchange(&self, request: http::Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        let (mut parts, body) = self.serve(request.map(Body::from)).await.into_parts();
        let body = to_bytes(body, RESPONSE_BYTES_MAX)
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "embedded S3 response cannot be read");
                parts.status = http::StatusCode::INTERNAL_SERVER_ERROR;
                Bytes::new()
            });
        http::Response::from_parts(parts, body.to_vec())
    }

    /// Serves one S3 request and streams both bodies.
    pub async fn serve(&self, request: Request) -> Response {
        if let Some(origin) = cors::preflight(&request) {
            return cors::allow_upload(origin);
        }

        let origin = request.headers().get(http::header::ORIGIN).cloned();
        let (request, body_check) = whole::watch(request);
        let response = match self
            .service
            .call(request.map(s3s::Body::http_body_unsync))
            .await
        {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(?error, "embedded S3 request failed");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };

        let response = body_check.rejection().unwrap_or(response);
        match origin {
            Some(origin) => cors::share(response, origin),
            None => response,
        }
    }
}
