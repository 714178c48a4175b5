//! Media (§6): what may be uploaded, the keys of uploads, and what is known of an upload that a
//! pushed item names. A key carries the promise that its upload URL was signed for, so a push
//! checks an upload without any stored row.

mod key;
mod keyring;
mod presign;

pub use key::MediaKey;
pub use keyring::Keyring;
pub use presign::{Promise, UploadRules, promise};

/// An upload that is there, with the promised size and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its key in the bucket.
    pub key: String,
    /// Its size in bytes.
    pub content_length: u64,
    /// Its type.
    pub content_type: String,
}

/// What was found under a media key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaCheck {
    /// An upload as it was promised.
    Verified(Upload),
    /// Nothing, or something else than was promised; what to say of it.
    Missing(String),
    /// The object store did not answer.
    Unavailable,
    /// The key is none that a presign returned to this user, so nothing was looked up; what to say
    /// of it.
    Rejected(&'static str),
    /// The batch names more keys than are looked up at once.
    Deferred,
}

impl MediaCheck {
    /// Nothing stands under the key.
    pub fn absent() -> Self {
        Self::Missing(
            "nothing was uploaded under this media key yet: upload it, then send the item again"
                .into(),
        )
    }

    /// Compares what stands under `key`, an object of this size and type, with what the key
    /// promises.
    pub fn compare(key: &str, content_length: u64, content_type: &str) -> Self {
        let Some(promised) = MediaKey::parse(key) else {
            return Self::Missing("this is no key that a presign answered".into());
        };
        if promised.content_length() != content_length {
            let promised = promised.content_length();
            return Self::Missing(format!(
                "the upload has {content_length} bytes, promised were {promised}: upload it again"
            ));
        }
        if !promised.is_of_type(content_type) {
            return Self::Missing(
                "the upload has another content type than was promised: upload it again".into(),
            );
        }
        Self::Verified(Upload {
            key: key.to_owned(),
            content_length,
            content_type: content_type.to_owned(),
        })
    }
}

/// Whether `key` is one that this user was given by a presign.
pub fn is_own(key: &str, tenant: &str, user: &str) -> bool {
    MediaKey::parse(key).is_some_and(|key| key.is_of(tenant, user))
}

/// The extensions of content types that have a usual one. Others get none, types with active
/// content among them: an object store serves a file by its type, but browsers and operating
/// systems open one by its extension.
const EXTENSIONS: &[(&str, &str)] = &[
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/webm", "webm"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/heif", "heif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/tiff", "tiff"),
    ("image/webp", "webp"),
    ("text/csv", "csv"),
    ("text/plain", "txt"),
    ("video/3gpp", "3gp"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpeg"),
    ("video/ogg", "ogv"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

/// The file extension of a content type, whatever its letters' case and its parameters; `None` for
/// types without a usual one.
fn extension_of(content_type: &str) -> Option<&'static str> {
    let essence = essence(content_type);
    EXTENSIONS
        .iter()
        .find(|(known, _)| *known == essence)
        .map(|(_, extension)| *extension)
}

/// A content type without its parameters, in lower case: `Video/MP4; codecs="avc1"` is `video/mp4`.
fn essence(content_type: &str) -> String {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn keyring() -> Keyring {
        Keyring::new("a secret with at least 32 bytes in it", None).expect("long enough")
    }

    #[test]
    fn extensions_follow_from_content_types() {
        let cases = [
            ("image/jpeg", Some("jpg")),
            ("IMAGE/HEIC; q=1", Some("heic")),
            ("video/mp4; codecs=\"avc1\"", Some("mp4")),
        ];
        for (content_type, extension) in cases {
            assert_eq!(extension_of(content_type), extension, "{content_type}");
        }
        for content_type in [
            "text/html",
            "image/svg+xml",
            "application/x-msdownload",
            "application/octet-stream",
            "",
        ] {
            assert_eq!(extension_of(content_type), None, "{content_type}");
        }
        let is_short =
            |extension: &str| extension.len() <= crate::limits::MEDIA_EXTENSION_LETTERS_MAX;
        assert!(EXTENSIONS.iter().all(|(_, extension)| is_short(extension)));
    }

    fn key() -> String {
        MediaKey::new("acme", "ana", Uuid::nil(), 2048, "image/jpeg", &keyring()).to_string()
    }

    #[test]
    fn an_upload_as_promised_is_verified() {
        let upload = Upload {
            key: key(),
            content_length: 2048,
            content_type: "image/jpeg".into(),
        };
        assert_eq!(
            MediaCheck::compare(&key(), 2048, "image/jpeg"),
            MediaCheck::Verified(upload)
        );
        assert!(matches!(
            MediaCheck::compare(&key(), 2048, "Image/JPEG; q=1"),
            MediaCheck::Verified(_)
        ));
    }

    #[test]
    fn an_upload_of_another_size_or_type_is_missing() {
        for (bytes, content_type) in [
            (2047, "image/jpeg"),
            (2049, "image/jpeg"),
            (2048, "image/png"),
            (2048, ""),
        ] {
            assert!(
                matches!(
                    MediaCheck::compare(&key(), bytes, content_type),
                    MediaCheck::Missing(_)
                ),
                "{bytes} {content_type}"
            );
        }
    }

    #[test]
    fn a_key_is_owned_by_the_user_it_was_made_for_alone() {
        assert!(is_own(&key(), "acme", "ana"));
        for (tenant, user) in [
            ("acme", "bob"),
            ("other", "ana"),
            ("ana", "acme"),
            ("acme/ana", ""),
            ("", ""),
        ] {
            assert!(!is_own(&key(), tenant, user), "{tenant} {user}");
        }
    }
}
