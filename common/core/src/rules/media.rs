//! Media (§6): the permitted uploads, the keys of uploads, and the check of an upload that a pushed
//! item names. A key contains the size and type for which its upload URL was signed, so a push
//! verifies an upload without a stored row.

mod key;
mod keyring;
mod presign;

pub use key::MediaKey;
pub use keyring::Keyring;
pub use presign::{Promise, UploadRules, promise};

/// A stored upload that has the promised size and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The upload's key in the bucket.
    pub key: String,
    /// The upload's size in bytes.
    pub content_length: u64,
    /// The upload's content type, as stored.
    pub content_type: String,
}

/// The result of looking up a media key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaCheck {
    /// The upload exists and has the promised size and type.
    Verified(Upload),
    /// The upload is missing or differs from what was promised; contains the error message.
    Missing(String),
    /// The object store is unavailable.
    Unavailable,
    /// Presign did not issue the key to this user, so nothing was looked up; contains the error
    /// message.
    Rejected(&'static str),
    /// The batch names more unverified keys than one batch may look up.
    Deferred,
}

impl MediaCheck {
    /// Returns the result for a key without an upload.
    pub fn absent() -> Self {
        Self::Missing(
            "nothing has been uploaded under this media key: upload it, then send the item again"
                .into(),
        )
    }

    /// Compares the object under `key`, with this size and type, with what the key promises.
    ///
    /// # Example
    ///
    /// ```
    /// use tidemark_core::rules::media::{Keyring, MediaCheck, MediaKey};
    /// use uuid::Uuid;
    ///
    /// let keyring = Keyring::new(&"secret".repeat(6), None).unwrap();
    /// let key = MediaKey::new("acme", "ana", Uuid::nil(), 9, "image/png", &keyring).to_string();
    /// let check = |bytes, content_type| MediaCheck::compare(&key, bytes, content_type);
    /// assert!(matches!(check(9, "image/png"), MediaCheck::Verified(_)));
    /// assert!(matches!(check(8, "image/png"), MediaCheck::Missing(_)));
    /// assert!(matches!(check(9, "image/gif"), MediaCheck::Missing(_)));
    /// ```
    pub fn compare(key: &str, content_length: u64, content_type: &str) -> Self {
        let Some(promised) = MediaKey::parse(key) else {
            return Self::Missing("this is not a key that presign issued".into());
        };

        if promised.content_length() != content_length {
            let promised = promised.content_length();
            return Self::Missing(format!(
                "the upload has {content_length} bytes instead of the promised {promised}: upload it again"
            ));
        }

        if !promised.is_of_type(content_type) {
            return Self::Missing(
                "the content type of the upload is not the promised one: upload it again".into(),
            );
        }

        Self::Verified(Upload {
            key: key.to_owned(),
            content_length,
            content_type: content_type.to_owned(),
        })
    }
}

/// Returns whether `key` was issued to this user.
///
/// # Example
///
/// ```
/// use tidemark_core::rules::media::{Keyring, MediaKey, is_own};
/// use uuid::Uuid;
///
/// let keyring = Keyring::new(&"secret".repeat(6), None).unwrap();
/// let key = MediaKey::new("acme", "ana", Uuid::nil(), 9, "image/png", &keyring).to_string();
/// assert!(is_own(&key, "acme", "ana"));
/// assert!(!is_own(&key, "acme", "ben"));
/// assert!(!is_own("uploads/acme/ana/photo.png", "acme", "ana"));
/// ```
pub fn is_own(key: &str, tenant: &str, user: &str) -> bool {
    MediaKey::parse(key).is_some_and(|key| key.is_of(tenant, user))
}

/// The file extensions of content types that have a common one. Other types get none, including
/// types with active content: an object store serves a file by its type, but browsers and operating
/// systems open it by its extension.
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

/// Returns the file extension of a content type, ignoring case and parameters, or `None` for types
/// without a common one.
fn extension_of(content_type: &str) -> Option<&'static str> {
    let essence = essence(content_type);
    EXTENSIONS
        .iter()
        .find(|(known, _)| *known == essence)
        .map(|(_, extension)| *extension)
}

/// Returns a content type without its parameters, in lower case: `Video/MP4; codecs="avc1"` becomes
/// `video/mp4`.
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
            |extension: &str| extension.len() <= crate::model::limits::MEDIA_EXTENSION_CHARS_MAX;
        assert!(EXTENSIONS.iter().all(|(_, extension)| is_short(extension)));
    }

    fn key() -> String {
        MediaKey::new("acme", "ana", Uuid::nil(), 2048, "image/jpeg", &keyring()).to_string()
    }

    #[test]
    fn upload_as_promised_is_verified() {
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
    fn wrong_size_or_type_is_missing() {
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
    fn key_belongs_only_to_its_user() {
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
