//! The check of a request for an upload URL: it becomes a [`Promise`] or is rejected. This module
//! does not sign anything.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use uuid::Uuid;

use crate::{
    model::{
        catalog::Catalog,
        limits::MEDIA_BYTES_MAX,
        media::{UploadRejection, UploadRequest},
        principal::Principal,
    },
    rules::media::{Keyring, MediaKey, essence},
};

/// The uploads that a deployment permits.
#[derive(Debug, Clone, Copy)]
pub struct UploadRules<'a> {
    /// Permitted content types, in lower case and without parameters.
    pub types: &'a [String],
    /// Maximum size of one upload in bytes.
    pub bytes_max: u64,
    /// The resource types, some of them with media fields.
    pub catalog: &'a Catalog,
    /// The secrets that authenticate the keys.
    pub keyring: &'a Keyring,
}

/// The properties for which an upload URL is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The key under which the upload is stored.
    pub key: MediaKey,
    /// The content type, exactly as the client will send it.
    pub content_type: String,
    /// The exact size in bytes.
    pub content_length: u64,
    /// SHA-256 of the content, in base64 as S3 requires.
    pub sha256: Option<String>,
}

/// Returns the promise for an upload by the caller, with a key made from `unique`.
///
/// # Errors
/// Returns an [`UploadRejection`] if a property is malformed or this deployment does not permit the
/// upload.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::{
///     model::media::{UploadRejection, UploadRequest},
///     rules::media::{Keyring, UploadRules, promise},
/// };
/// use uuid::Uuid;
///
/// let phone = phone::Phone::new();
/// let keyring = Keyring::new(&"secret".repeat(6), None).unwrap();
/// let types = ["image/png".to_owned()];
/// let rules =
///     UploadRules { types: &types, bytes_max: 1000, catalog: &phone.catalog, keyring: &keyring };
/// let promise = |content_length| {
///     let content_type = "image/png";
///     let resource_type = Some("meter");
///     let request = UploadRequest { content_type, content_length, sha256: None, resource_type };
///     promise(request, rules, &phone.principal, Uuid::nil())
/// };
///
/// // The key states the promised size, and it is authentic.
/// let key = promise(1000).unwrap().key;
/// assert!(key.content_length() == 1000 && key.is_authentic(&keyring));
/// assert!(matches!(promise(1001), Err(UploadRejection::TooLarge { bytes_max: 1000, .. })));
/// ```
pub fn promise(
    request: UploadRequest<'_>,
    allowed: UploadRules<'_>,
    caller: &Principal,
    unique: Uuid,
) -> Result<Promise, UploadRejection> {
    let UploadRequest {
        content_type,
        content_length,
        sha256,
        resource_type,
    } = request;

    check_type(content_type, allowed.types)?;
    check_length(content_length, allowed.bytes_max)?;
    if let Some(name) = resource_type {
        check_resource_type(name, allowed.catalog)?;
    }

    Ok(Promise {
        key: MediaKey::new(
            &caller.tenant,
            &caller.user,
            unique,
            content_length,
            content_type,
            allowed.keyring,
        ),
        content_type: content_type.to_owned(),
        content_length,
        sha256: sha256.map(checksum).transpose()?,
    })
}

/// Checks the content type, which the client sends as a header unchanged. Only spellings that every
/// client, proxy and object store preserves are accepted.
fn check_type(content_type: &str, types: &[String]) -> Result<(), UploadRejection> {
    let is_visible = content_type
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let is_trimmed = content_type.trim() == content_type && !content_type.contains("  ");
    let essence = essence(content_type);
    let is_pair = essence
        .split_once('/')
        .is_some_and(|(kind, name)| is_token(kind) && is_token(name));

    if !(is_visible && is_trimmed && is_pair) {
        return Err(UploadRejection::MalformedType);
    }

    if types.contains(&essence) {
        return Ok(());
    }
    Err(UploadRejection::TypeNotAllowed {
        content_type: essence,
        allowed_types: types.to_vec(),
    })
}

/// Returns whether the text is a token of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn check_length(content_length: u64, bytes_max: u64) -> Result<(), UploadRejection> {
    if content_length == 0 {
        return Err(UploadRejection::Empty);
    }

    let bytes_max = bytes_max.min(MEDIA_BYTES_MAX);
    if content_length <= bytes_max {
        return Ok(());
    }
    Err(UploadRejection::TooLarge {
        content_length,
        bytes_max,
    })
}

fn check_resource_type(name: &str, catalog: &Catalog) -> Result<(), UploadRejection> {
    match catalog.get(name) {
        None => Err(UploadRejection::UnknownResourceType),
        Some(resource_type) if resource_type.media.is_empty() => {
            Err(UploadRejection::NoMediaFields)
        }
        Some(_) => Ok(()),
    }
}

/// Returns a SHA-256, given in hexadecimal or base64, in base64.
fn checksum(text: &str) -> Result<String, UploadRejection> {
    let bytes = match text.len() {
        64 => from_hex(text),
        44 => BASE64_STANDARD.decode(text).ok(),
        _ => None,
    };
    match bytes {
        Some(bytes) if bytes.len() == 32 => Ok(BASE64_STANDARD.encode(bytes)),
        _ => Err(UploadRejection::MalformedChecksum),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const BASE64: &str = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";

    fn request<'a>(change: impl FnOnce(&mut UploadRequest<'a>)) -> UploadRequest<'a> {
        let mut request = UploadRequest {
            content_type: "image/jpeg",
            content_length: 2048,
            sha256: None,
            resource_type: None,
        };
        change(&mut request);
        request
    }

    fn promised(request: UploadRequest<'_>) -> Result<Promise, UploadRejection> {
        let catalog =
            Catalog::parse(include_str!("../../../../../catalog.toml")).expect("catalog.toml");

        let types = ["image/jpeg".to_owned(), "video/mp4".to_owned()];
        let keyring =
            Keyring::new("a secret with at least 32 bytes in it", None).expect("long enough");
        let allowed = UploadRules {
            types: &types,
            bytes_max: 4096,
            catalog: &catalog,
            keyring: &keyring,
        };

        let caller = Principal {
            tenant: "acme".into(),
            user: "ana".into(),
            roles: vec![],
            groups: vec![],
        };

        promise(request, allowed, &caller, Uuid::nil())
    }

    #[test]
    fn permitted_upload_is_promised_exactly_as_requested() {
        let promise = promised(request(|it| {
            it.content_type = "Video/MP4; codecs=\"avc1\"";
            it.sha256 = Some(HEX);
            it.resource_type = Some("submission");
        }));
        let promise = promise.expect("it is allowed");

        assert_eq!(
            (promise.content_type.as_str(), promise.content_length),
            ("Video/MP4; codecs=\"avc1\"", 2048)
        );
        assert_eq!(promise.sha256.as_deref(), Some(BASE64));

        let key = promise.key.to_string();
        assert!(
            key.starts_with("uploads/acme/ana/0000000000000000000000")
                && key.ends_with(".2048.video~mp4.mp4"),
            "{key}"
        );
    }

    #[test]
    fn invalid_or_disallowed_type_is_rejected() {
        let rejected = |text| {
            promised(request(|it| it.content_type = text)).expect_err("the type is rejected")
        };

        for text in [
            "image/png",
            "image/jpeg2",
            "text/html; image/jpeg",
            "image/jpeg+xml",
        ] {
            assert!(
                matches!(rejected(text), UploadRejection::TypeNotAllowed { .. }),
                "{text}"
            );
        }

        let unreadable = [
            "image",
            "/",
            "image/",
            "/jpeg",
            "x/image/jpeg",
            " image/jpeg",
            "image/jpeg ",
            "image/jpeg;  a=b",
        ];

        for text in unreadable.into_iter().chain([
            "image/jpeg\r\nx: y",
            "imag\u{e9}/jpeg",
            "image/jpeg; a=\u{e9}",
            "ima ge/jpeg",
        ]) {
            assert_eq!(rejected(text), UploadRejection::MalformedType, "{text}");
        }
    }

    #[test]
    fn size_must_be_positive_and_within_bound() {
        let outcome = |bytes| {
            promised(request(|it| it.content_length = bytes)).map(|promise| promise.content_length)
        };
        assert_eq!((outcome(1), outcome(4096)), (Ok(1), Ok(4096)));

        assert_eq!(outcome(0), Err(UploadRejection::Empty));
        for content_length in [4097, u64::MAX] {
            let too_large = UploadRejection::TooLarge {
                content_length,
                bytes_max: 4096,
            };
            assert_eq!(outcome(content_length), Err(too_large));
        }
    }

    #[test]
    fn checksum_is_hexadecimal_or_base64() {
        for text in [HEX, BASE64] {
            let promise = promised(request(|it| it.sha256 = Some(text)));
            assert_eq!(
                promise.map(|promise| promise.sha256),
                Ok(Some(BASE64.into())),
                "{text}"
            );
        }

        let short = BASE64.replace("Cgg=", "Cg==");
        for text in [
            "",
            "9f86",
            &HEX.replace('9', "g"),
            &HEX.replace('9', "é")[..64],
            &BASE64[..43],
            &BASE64.replace('+', "-"),
            &short,
        ] {
            let rejected = promised(request(|it| it.sha256 = Some(text)));
            assert_eq!(rejected, Err(UploadRejection::MalformedChecksum), "{text}");
        }
    }

    #[test]
    fn resource_type_must_have_media_fields() {
        let cases = [
            ("meter", UploadRejection::NoMediaFields),
            ("invoice", UploadRejection::UnknownResourceType),
            ("", UploadRejection::UnknownResourceType),
        ];
        for (name, rejection) in cases {
            let rejected = promised(request(|it| it.resource_type = Some(name)));
            assert_eq!(rejected, Err(rejection), "{name}");
        }
    }
}
