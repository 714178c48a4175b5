//! Uploads to presigned URLs: the object store accepts exactly what was presigned, while the URL is
//! valid.

use std::sync::Arc;

use chrono::Duration;
use serde_json::Value;
use tidemark::engine::http::NoHook;
use tidemark_core::{
    model::limits::MEDIA_KEY_BYTES_MAX,
    rules::media::{MediaCheck, MediaKey},
};
use tidemark_tests::Stack;

use super::{
    PHOTO, PHOTO_SHA256, arrival, ask, check::checked, key, keyring, photo, presigned,
    presigned_under, stored,
};

#[tokio::test]
async fn upload_as_presigned_is_accepted() {
    let stack = Stack::new().today();
    for sha256 in [Value::Null, PHOTO_SHA256.into()] {
        let mut request = photo();
        request["sha256"] = sha256;
        let response = ask(&stack, "ana", &request).await.ok();
        assert_eq!(stack.upload(&response, PHOTO).await, 200);
        // A client whose response was lost sends the upload again.
        assert_eq!(stack.upload(&response, PHOTO).await, 200);
        assert!(matches!(
            checked(&stack, &key(&response)).await,
            MediaCheck::Verified(_)
        ));
    }
}

/// An upload that deviates from the presigned one: what deviates, its headers `content-length` and
/// `content-type`, and its body.
type Deviation = (&'static str, Option<usize>, Option<&'static str>, Vec<u8>);

fn deviations() -> [Deviation; 9] {
    let (photo, more, less) = (PHOTO.to_vec(), [PHOTO, b"!"].concat(), PHOTO[1..].to_vec());
    let [length, length_more, length_less] = [&photo, &more, &less].map(|body| Some(body.len()));
    let jpeg = Some("image/jpeg");
    let parameter = Some("image/jpeg; a=b");

    [
        ("another type", length, Some("image/png"), photo.clone()),
        ("a parameter more", length, parameter, photo.clone()),
        ("no type", length, None, photo.clone()),
        ("one byte more", length_more, jpeg, more.clone()),
        ("one byte less", length_less, jpeg, less.clone()),
        ("no length", None, jpeg, photo),
        ("nothing", Some(0), jpeg, Vec::new()),
        ("more than its length states", length, jpeg, more),
        ("less than its length states", length, jpeg, less),
    ]
}

#[tokio::test]
async fn deviating_upload_is_rejected() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    let url = response["upload_url"].as_str().unwrap();

    for (what, length, content_type, body) in deviations() {
        let length = length.map(|length| length.to_string());
        let headers: Vec<(&str, &str)> = length
            .iter()
            .map(|length| ("content-length", length.as_str()))
            .chain(content_type.map(|text| ("content-type", text)))
            .collect();

        let rejected = stack.put(url, &headers, &body).await;
        let expected = if what.contains("states") { 400 } else { 403 };
        assert_eq!(rejected.status, expected, "{what}: {}", rejected.text);
        assert!(
            matches!(
                checked(&stack, &key(&response)).await,
                MediaCheck::Missing(_)
            ),
            "{what}"
        );
    }

    assert_eq!(stack.upload(&response, PHOTO).await, 200);
}

#[tokio::test]
async fn upload_with_wrong_checksum_is_rejected() {
    let stack = Stack::new().today();
    let mut request = photo();
    request["sha256"] = PHOTO_SHA256.into();
    let response = ask(&stack, "ana", &request).await.ok();
    let forged = [&PHOTO[1..], b"!"].concat();

    let mut other = response.clone();
    other["headers"]["x-amz-checksum-sha256"] =
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into();
    let mut without = response.clone();
    without["headers"]
        .as_object_mut()
        .unwrap()
        .remove("x-amz-checksum-sha256");
    let statuses = [
        stack.upload(&response, &forged).await,
        stack.upload(&other, &forged).await,
        stack.upload(&without, PHOTO).await,
    ];
    assert_eq!(statuses, [400, 403, 403]);
    assert!(matches!(
        checked(&stack, &key(&response)).await,
        MediaCheck::Missing(_)
    ));

    assert_eq!(
        (
            stack.upload(&response, PHOTO).await,
            stack.upload(&response, &forged).await
        ),
        (200, 400)
    );
    assert_eq!(stored(&stack, &arrival(&response)).await.unwrap(), PHOTO);
}

/// Returns the signature in a URL.
fn signature(url: &str) -> &str {
    let (_, signature) = url.split_once("X-Amz-Signature=").unwrap();
    &signature[..64]
}

#[tokio::test]
async fn upload_url_is_valid_only_as_signed() {
    let stack = Stack::new().today();
    let (response, other) = (presigned(&stack).await, presigned(&stack).await);
    let moved = |change: &dyn Fn(&str) -> String| {
        let mut moved = response.clone();
        moved["upload_url"] = change(response["upload_url"].as_str().unwrap()).into();
        moved
    };

    for (what, moved) in [
        (
            "another key",
            moved(&|url| url.replace(&arrival(&response), &arrival(&other))),
        ),
        (
            "where uploads are kept",
            moved(&|url| url.replace("/incoming/", "/uploads/")),
        ),
        (
            "another user's folder",
            moved(&|url| url.replace("/ana/", "/bob/")),
        ),
        (
            "a longer time",
            moved(&|url| url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000")),
        ),
        (
            "a later time",
            moved(&|url| url.replace("X-Amz-Date=20", "X-Amz-Date=21")),
        ),
        (
            "another signature",
            moved(&|url| url.replace(signature(url), &"0".repeat(64))),
        ),
    ] {
        assert_ne!(moved, response, "{what}");
        assert_eq!(stack.upload(&moved, PHOTO).await, 403, "{what}");
    }

    assert_valid_only_for_put(&stack, response["upload_url"].as_str().unwrap()).await;
}

/// Checks that the store rejects other methods, and a PUT without the signature.
async fn assert_valid_only_for_put(stack: &Stack, url: &str) {
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        let rejected = stack.store_request(method, url, &[], b"").await;
        assert_eq!(rejected.status, 403, "{method}");
    }

    let bare = url.split('?').next().unwrap();
    assert_eq!(
        stack
            .put(bare, &[("content-type", "image/jpeg")], PHOTO)
            .await
            .status,
        403
    );
}

/// The store reads the clock of the machine, so the URL is signed in the past.
#[tokio::test]
async fn expired_upload_url_is_rejected() {
    let stack = Stack::new().today();
    stack.advance(-Duration::minutes(10));
    let good = presigned(&stack).await;
    stack.advance(-Duration::seconds(301));
    let expired = presigned(&stack).await;
    assert_eq!(
        (
            stack.upload(&good, PHOTO).await,
            stack.upload(&expired, PHOTO).await
        ),
        (200, 403)
    );
}

#[tokio::test]
async fn longest_key_is_stored() {
    let stack = Stack::new().today();
    let name = "n".repeat(36);
    let unique = stack.parts("presign", Arc::new(NoHook)).clock.unique_id();
    // A type of eighteen letters with an extension of four letters results in this key.
    let longest = MediaKey::new(
        &name,
        &name,
        unique,
        5 << 30,
        "application/msword",
        &keyring(&stack),
    );
    let padded = format!("{}.jpeg", longest);
    assert_eq!(padded.len(), MEDIA_KEY_BYTES_MAX);
    let longest = MediaKey::parse(&padded).unwrap();

    assert_eq!(
        stack
            .upload(&presigned_under(&stack, longest).await, PHOTO)
            .await,
        200
    );
}

/// A browser sends a preflight request first, and lets a page read a response only if its headers
/// allow it.
#[tokio::test]
async fn browser_page_may_upload() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    let url = response["upload_url"].as_str().unwrap();

    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PUT"),
    ];
    let allowed = stack.store_request("OPTIONS", url, &preflight, b"").await;
    assert_eq!(
        (
            allowed.status,
            &allowed.headers["access-control-allow-methods"]
        ),
        (200, &"PUT".parse().unwrap())
    );

    let length = PHOTO.len().to_string();
    let headers = [
        ("origin", "https://app.example"),
        ("content-type", "image/jpeg"),
        ("content-length", &length),
    ];
    let stored = stack.put(url, &headers, PHOTO).await;
    assert_eq!(
        (
            stored.status,
            &stored.headers["access-control-allow-origin"]
        ),
        (200, &"https://app.example".parse().unwrap())
    );
}
