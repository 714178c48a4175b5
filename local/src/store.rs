//! The embedded S3: buckets are folders, signatures are checked against fixed development credentials. It serves
//! path-style requests (`/media/<key>`) and knows nothing of the sync protocol.

use std::path::Path;

use axum::body::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// The one bucket.
pub const BUCKET: &str = "media";
/// Access key id that the embedded S3 accepts.
pub const ACCESS_KEY: &str = "tidemark";
/// Secret access key that goes with it.
pub const SECRET_KEY: &str = "tidemark-development-secret";

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the media store in {folder}: {reason}")]
pub struct StoreError {
    folder: String,
    reason: String,
}

/// An embedded S3. Clones share it.
#[derive(Clone)]
pub struct Store {
    service: S3Service,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the store over `folder`, which exists, and makes the bucket.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError { folder: folder.display().to_string(), reason };
        std::fs::create_dir_all(folder.join(BUCKET)).map_err(|error| failed(error.to_string()))?;
        let files = s3s_fs::FileSystem::new(folder).map_err(|error| failed(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        // Without it nothing is checked: no signature, no expiry, no signed header.
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        Ok(Self { service: builder.build() })
    }

    /// Answers one S3 request, streaming both bodies.
    pub async fn serve(&self, request: axum::extract::Request) -> axum::response::Response {
        match self.service.call(request.map(s3s::Body::http_body_unsync)).await {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(?error, "the embedded S3 could not answer");
                let mut response = axum::response::Response::new(Body::empty());
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}
