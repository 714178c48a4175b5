//! The responses of `POST /media/presign`.

use std::{collections::BTreeSet, sync::Arc};

use chrono::Duration;
use serde_json::json;
use tidemark::engine::http::CallFate;
use tidemark_core::{
    model::time::timestamp,
    rules::media::{MediaKey, is_own},
};
use tidemark_tests::{Script, Stack};

use super::{PHOTO, PHOTO_SHA256, arrival, ask, key, keyring, photo, presigned};

#[tokio::test]
async fn presign_returns_url_method_and_headers() {
    let stack = Stack::new();
    let response = presigned(&stack).await;
    let (key, arrival) = (key(&response), arrival(&response));
    assert!(
        key.starts_with("uploads/acme/ana/") && key.ends_with(".21.image~jpeg.jpg"),
        "{key}"
    );
    assert!(
        MediaKey::parse(&key)
            .unwrap()
            .is_authentic(&keyring(&stack)),
        "{key}"
    );

    let url = response["upload_url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("http://media.localhost/media/{arrival}?")),
        "{url}"
    );

    assert_eq!(
        (
            &response["method"],
            &response["headers"],
            &response["expires_at"]
        ),
        (
            &json!("PUT"),
            &json!({"content-length": PHOTO.len().to_string(), "content-type": "image/jpeg"}),
            &json!(timestamp(stack.now() + Duration::minutes(15)))
        )
    );
}

#[tokio::test]
async fn type_length_and_checksum_are_signed() {
    let stack = Stack::new();
    let mut request = photo();
    request["sha256"] = PHOTO_SHA256.into();

    for (request, signed) in [
        (photo(), "content-length%3Bcontent-type%3Bhost"),
        (
            request,
            "content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256",
        ),
    ] {
        let response = ask(&stack, "ana", &request).await.ok();
        let url = response["upload_url"].as_str().unwrap();
        assert!(
            url.contains(&format!("X-Amz-SignedHeaders={signed}&")),
            "{url}"
        );
        assert!(
            url.contains("X-Amz-Expires=900&") && !url.to_ascii_lowercase().contains("crc32"),
            "{url}"
        );
        assert_eq!(
            response["headers"].get("x-amz-checksum-sha256"),
            request.get("sha256")
        );
    }
}

#[tokio::test]
async fn presign_makes_no_call() {
    let calls = Arc::new(Script::new(|_, _, _, _| CallFate::Lose));
    let stack = Stack::hooked(calls.clone());
    presigned(&stack).await;
    assert_eq!(calls.calls(), 0);
}

#[tokio::test]
async fn no_two_uploads_share_a_key() {
    let stack = Stack::new();
    let mut keys = BTreeSet::new();
    for _ in 0..100 {
        keys.insert(key(&presigned(&stack).await));
    }
    assert_eq!(keys.len(), 100);
}

#[tokio::test]
async fn key_is_in_the_callers_folder() {
    let stack = Stack::new().today();
    let long = "n".repeat(256);
    let names = [
        "ana",
        "..",
        ".",
        "a/b",
        "a",
        "b",
        "#",
        "é",
        "a b",
        "%2e%2e",
        "~",
        "auth0|5f7c",
        "\u{0}",
        long.as_str(),
    ];

    let mut folders = BTreeSet::new();
    for tenant in names {
        for user in names {
            let response = stack
                .post(
                    "media/presign",
                    &stack.token(tenant, user, &[], &[]),
                    &photo(),
                )
                .await
                .ok();
            let key = key(&response);
            assert!(is_own(&key, tenant, user), "{tenant:?} {user:?}: {key}");
            assert_eq!(key.split('/').count(), 4, "{key}");
            assert_eq!(
                stack.upload(&response, PHOTO).await,
                200,
                "{tenant:?} {user:?}: {key}"
            );
            folders.insert(key.rsplit_once('/').unwrap().0.to_owned());
        }
    }
    assert_eq!(folders.len(), names.len() * names.len());
}

#[tokio::test]
async fn filename_cannot_escape_the_callers_folder() {
    let stack = Stack::new();

    for filename in [
        "../../bob/photo.jpg",
        "/etc/passwd",
        "..",
        "x.jp/../../g",
        "x.%2e%2e",
        "x.jpg?a=b",
        "x.jpg#a",
        "\u{0}.\u{0}",
        "é.é",
    ] {
        let mut request = photo();
        request["filename"] = filename.into();
        let key = key(&ask(&stack, "ana", &request).await.ok());
        let file = key
            .strip_prefix("uploads/acme/ana/")
            .unwrap_or_else(|| panic!("{filename}: {key}"));
        assert!(
            file.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'~'),
            "{filename}: {key}"
        );
    }
}

#[tokio::test]
async fn extension_follows_from_the_content_type() {
    let stack = Stack::new();
    for (content_type, filename, extension) in [
        ("image/jpeg", "photo.html", ".jpg"),
        ("image/jpeg", "photo", ".jpg"),
        ("IMAGE/PNG", "photo.exe", ".png"),
        ("video/mp4; codecs=\"avc1\"", "a.jpg", ".mp4"),
        ("application/pdf", "a.svg", ".pdf"),
    ] {
        let request =
            json!({"filename": filename, "content_type": content_type, "content_length": 1});
        let key = key(&ask(&stack, "ana", &request).await.ok());
        assert!(
            key.ends_with(extension) && key.matches('.').count() == 3,
            "{key}"
        );
    }

    let unusual = Stack::configured(&[("MEDIA_TYPES", "text/html,application/x-form")]);
    for content_type in ["text/html", "application/x-form"] {
        let request =
            json!({"filename": "a.html", "content_type": content_type, "content_length": 1});
        assert_eq!(
            key(&ask(&unusual, "ana", &request).await.ok())
                .matches('.')
                .count(),
            2,
            "{content_type}"
        );
    }
}
