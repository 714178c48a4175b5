//! The files that pages load: the stylesheet, the script and the icon. Their names contain a digest
//! of their content, so browsers may cache them forever.

use std::sync::LazyLock;

use lambda_http::{
    Body, Response,
    http::{HeaderValue, StatusCode, header},
};
use tidemark_core::model::json::{digest, hex};

use crate::response;

/// The path of the files below the address of the console.
pub(crate) const FOLDER: &str = "assets/";
/// The bytes of the digest in the name of a file.
const DIGEST_BYTES: usize = 8;

/// A file that pages load.
#[derive(Debug)]
pub struct Asset {
    /// The path below the address of the console.
    pub path: String,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The content of the file.
    pub content: &'static str,
}

/// The files that pages load, by their purpose.
#[derive(Debug)]
pub(crate) struct Assets {
    pub(crate) stylesheet: Asset,
    pub(crate) script: Asset,
    pub(crate) icon: Asset,
}

impl Asset {
    fn new(extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let digest = hex(&digest([content])[..DIGEST_BYTES]);
        Self {
            path: format!("{FOLDER}console-{digest}.{extension}"),
            content_type,
            content,
        }
    }
}

/// Returns the files by their purpose.
pub(crate) fn all() -> &'static Assets {
    static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
        stylesheet: Asset::new(
            "css",
            "text/css; charset=utf-8",
            include_str!("../assets/console.css"),
        ),
        script: Asset::new(
            "mjs",
            "text/javascript; charset=utf-8",
            include_str!("../assets/console.mjs"),
        ),
        icon: Asset::new(
            "svg",
            "image/svg+xml; charset=utf-8",
            include_str!("../assets/icon.svg"),
        ),
    });
    &ASSETS
}

/// Returns the files that pages load.
pub fn assets() -> [&'static Asset; 3] {
    let Assets {
        stylesheet,
        script,
        icon,
    } = all();
    [stylesheet, script, icon]
}

/// Returns the response with the file at this path, or `None` if there is none.
pub(crate) fn respond(path: &str) -> Option<Response<Body>> {
    let asset = assets().into_iter().find(|asset| asset.path == path)?;
    let content = asset.content.to_owned();
    let mut response = response::text(StatusCode::OK, asset.content_type, content);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    Some(response)
}
