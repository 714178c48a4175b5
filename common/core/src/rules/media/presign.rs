//! The check of a request for an upload URL: it becomes a [`Promise`] or is rejected. This module
//! does not sign anything.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use uuid::Uuid;

use super::{Keyring, MediaKey, essence};
use crate::{
    model::{catalog::Catalog, limits::MEDIA_BYTES_MAX, principal::Principal},
    wire::{
        media::PresignRequest,
        problem::{Problem, ProblemCode},
    },
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
/// Returns a [`Problem`]: 400 if a field is malformed, 422 if this deployment does not permit the
/// upload.
pub fn promise(
    request: &PresignRequest,
    allowed: UploadRules<'_>,
    caller: &Principal,
    unique: Uuid,
) -> Result<Promise, Problem> {
    check_type(&request.content_type, allowed.types)?;
    check_length(request.content_length, allowed.bytes_max)?;
    if let Some(name) = &request.resource_type {
        check_resource_type(name, allowed.catalog)?;
    }

    let PresignRequest {
        content_type,
        content_length,
        ..
    } = request;

    Ok(Promise {
        key: MediaKey::new(
            &caller.tenant,
            &caller.user,
            unique,
            *content_length,
            content_type,
            allowed.keyring,
        ),
        content_type: content_type.clone(),
        content_length: *content_length,
        sha256: request.sha256.as_deref().map(checksum).transpose()?,
    })
}

/// Checks the content type, which the client sends as a header unchanged. Only spellings that every
/// client, proxy and object store preserves are accepted.
fn check_type(content_type: &str, types: &[String]) -> Result<(), Problem> {
    let is_visible = content_type
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let is_trimmed = content_type.trim() == content_type && !content_type.contains("  ");
    let essence = essence(content_type);
    let is_pair = essence
        .split_once('/')
        .is_some_and(|(kind, name)| is_token(kind) && is_token(name));

    if !(is_visible && is_trimmed && is_pair) {
        return Err(Problem::malformed(
            "content_type",
            "must be a media type such as image/jpeg",
        ));
    }

    if types.contains(&essence) {
        return Ok(());
    }

    let detail = format!(
        "uploads of type {essence} are not allowed, only {}",
        types.join(", ")
    );
    Err(Problem::new(ProblemCode::MediaTypeNotAllowed, detail)
        .at("content_type")
        .with("allowed_types", &types))
}

/// Returns whether the text is a token of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn check_length(content_length: u64, bytes_max: u64) -> Result<(), Problem> {
    if content_length == 0 {
        return Err(Problem::malformed("content_length", "must be at least 1"));
    }
    let bytes_max = bytes_max.min(MEDIA_BYTES_MAX);
    if content_length <= bytes_max {
        return Ok(());
    }
    let detail = format!(
        "the upload has {content_length} bytes, at most {bytes_max} are allowed: make it smaller"
    );
    Err(Problem::new(ProblemCode::MediaTooLarge, detail)
        .at("content_length")
        .with("bytes_max", &bytes_max))
}

fn check_resource_type(name: &str, catalog: &Catalog) -> Result<(), Problem> {
    let rejected =
        |detail: &str| Err(Problem::new(ProblemCode::Unprocessable, detail).at("resource_type"));
    match catalog.get(name) {
        None => rejected("the catalog has no such resource type"),
        Some(resource_type) if resource_type.media.is_empty() => {
            rejected("resources of this type have no media fields")
        }
        Some(_) => Ok(()),
    }
}

/// Returns a SHA-256, given in hexadecimal or base64, in base64.
fn checksum(text: &str) -> Result<String, Problem> {
    let bytes = match text.len() {
        64 => from_hex(text),
        44 => BASE64_STANDARD.decode(text).ok(),
        _ => None,
    };
    match bytes {
        Some(bytes) if bytes.len() == 32 => Ok(BASE64_STANDARD.encode(bytes)),
        _ => Err(Problem::malformed(
            "sha256",
            "must be a SHA-256, as 64 hexadecimal digits or as base64",
        )),
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

    fn request(change: impl FnOnce(&mut PresignRequest)) -> PresignRequest {
        let mut request = PresignRequest {
            filename: "photo.jpg".into(),
            content_type: "image/jpeg".into(),
            content_length: 2048,
            sha256: None,
            resource_type: None,
        };
        change(&mut request);
        request
    }

    fn promised(request: &PresignRequest) -> Result<Promise, (ProblemCode, String)> {
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

        let rejected = |problem: Problem| (problem.code, problem.path.unwrap_or_default());
        promise(request, allowed, &caller, Uuid::nil()).map_err(rejected)
    }

    #[test]
    fn permitted_upload_is_promised_exactly_as_requested() {
        let promise = promised(&request(|it| {
            it.content_type = "Video/MP4; codecs=\"avc1\"".into();
            it.sha256 = Some(HEX.into());
            it.resource_type = Some("submission".into());
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
        let rejected = |text: &str| {
            promised(&request(|it| it.content_type = text.into()))
                .expect_err("the type is rejected")
        };

        for text in [
            "image/png",
            "image/jpeg2",
            "text/html; image/jpeg",
            "image/jpeg+xml",
        ] {
            assert_eq!(
                rejected(text),
                (ProblemCode::MediaTypeNotAllowed, "content_type".into()),
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
            assert_eq!(
                rejected(text),
                (ProblemCode::InvalidRequest, "content_type".into()),
                "{text}"
            );
        }
    }

    #[test]
    fn size_must_be_positive_and_within_bound() {
        let outcome = |bytes| {
            promised(&request(|it| it.content_length = bytes)).map(|promise| promise.content_length)
        };
        assert_eq!((outcome(1), outcome(4096)), (Ok(1), Ok(4096)));

        assert_eq!(
            outcome(0),
            Err((ProblemCode::InvalidRequest, "content_length".into()))
        );
        for bytes in [4097, u64::MAX] {
            assert_eq!(
                outcome(bytes),
                Err((ProblemCode::MediaTooLarge, "content_length".into()))
            );
        }
    }

    #[test]
    fn checksum_is_hexadecimal_or_base64() {
        for text in [HEX, BASE64] {
            let promise = promised(&request(|it| it.sha256 = Some(text.into())));
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
            let rejected = promised(&request(|it| it.sha256 = Some(text.into())));
            assert_eq!(
                rejected,
                Err((ProblemCode::InvalidRequest, "sha256".into())),
                "{text}"
            );
        }
    }

    #[test]
    fn resource_type_must_have_media_fields() {
        for name in ["meter", "invoice", ""] {
            let rejected = promised(&request(|it| it.resource_type = Some(name.into())));
            assert_eq!(
                rejected,
                Err((ProblemCode::Unprocessable, "resource_type".into())),
                "{name}"
            );
        }
    }
}
