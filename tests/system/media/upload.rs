//! What the object store takes for an upload URL: exactly what was promised, while the URL is good.

use std::sync::Arc;

use chrono::Duration;
use serde_json::Value;
use tidemark::engine::http::NoHook;
use tidemark_core::{
    limits::MEDIA_KEY_BYTES_MAX,
    media::{MediaCheck, MediaKey},
};
use tidemark_tests::Stack;

use super::{
    PHOTO, PHOTO_SHA256, arrival, ask, check::checked, key, keyring, photo, presigned,
    presigned_under, stored,
};

type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn an_upload_as_promised_is_taken() {
    let stack = Stack::new().today();
    for sha256 in [Value::Null, PHOTO_SHA256.into()] {
        let mut request = photo();
        request["sha256"] = sha256;
        let response = ask(&stack, "ana", &request).await.ok();
        assert_eq!(stack.upload(&response, PHOTO).await, 200);
        // The answer may have been lost: the same again.
        assert_eq!(stack.upload(&response, PHOTO).await, 200);
        assert!(matches!(
            checked(&stack, &key(&response)).await,
            MediaCheck::Verified(_)
        ));
    }
}

#[tokio::test]
async fn anything_else_than_was_promised_is_refused_and_not_stored() {
    let stack = Stack::new().today();
    let response = presigned(&stack).await;
    let (url, length) = (
        response["upload_url"].as_str().unwrap(),
        PHOTO.len().to_string(),
    );
    let (more, less) = ([PHOTO, b"!"].concat(), &PHOTO[1..]);
    let (length_more, length_less) = (more.len().to_string(), less.len().to_string());
    let jpeg = ("content-type", "image/jpeg");
    let cases: [(&str, Headers<'_>, &[u8]); 9] = [
        (
            "another type",
            &[("content-length", &length), ("content-type", "image/png")],
            PHOTO,
        ),
        (
            "a parameter more",
            &[
                ("content-length", &length),
                ("content-type", "image/jpeg; a=b"),
            ],
            PHOTO,
        ),
        ("no type", &[("content-length", &length)], PHOTO),
        (
            "one byte more",
            &[("content-length", &length_more), jpeg],
            &more,
        ),
        (
            "one byte less",
            &[("content-length", &length_less), jpeg],
            less,
        ),
        ("no length", &[jpeg], PHOTO),
        ("nothing", &[("content-length", "0"), jpeg], b""),
        (
            "more than its length says",
            &[("content-length", &length), jpeg],
            &more,
        ),
        (
            "less than its length says",
            &[("content-length", &length), jpeg],
            less,
        ),
    ];
    for (what, headers, body) in cases {
        let rejected = stack.put(url, headers, body).await;
        let expected = if what.contains("says") { 400 } else { 403 };
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
async fn content_that_does_not_fit_its_checksum_is_refused_and_replaces_nothing() {
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

/// The signature in a URL.
fn signature(url: &str) -> &str {
    let (_, signature) = url.split_once("X-Amz-Signature=").unwrap();
    &signature[..64]
}

#[tokio::test]
async fn an_upload_url_is_good_for_its_key_its_method_and_its_time_alone() {
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
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        let rejected = stack
            .store_request(method, response["upload_url"].as_str().unwrap(), &[], b"")
            .await;
        assert_eq!(rejected.status, 403, "{method}");
    }
    let bare = response["upload_url"]
        .as_str()
        .unwrap()
        .split('?')
        .next()
        .unwrap();
    assert_eq!(
        stack
            .put(bare, &[("content-type", "image/jpeg")], PHOTO)
            .await
            .status,
        403
    );
}

/// The store looks at the machine's clock, so the URL is signed in the past.
#[tokio::test]
async fn an_expired_upload_url_is_refused() {
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
async fn the_longest_key_is_stored() {
    let stack = Stack::new().today();
    let name = "n".repeat(36);
    let unique = stack.parts("presign", Arc::new(NoHook)).clock.unique_id();
    // As a type of eighteen letters with an extension of four would have it.
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

/// A page in a browser asks first, and may only read an answer that says so.
#[tokio::test]
async fn a_page_in_a_browser_may_upload() {
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
