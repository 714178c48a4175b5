//! The requests that presign rejects, and the problems that it returns.

use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::{ask, photo};

async fn rejected(stack: &Stack, field: &str, value: Value) -> (u16, Value, Value) {
    let mut request = photo();
    request[field] = value;
    let response = ask(stack, "ana", &request).await;
    let problem = response.json();
    (
        response.status,
        problem["code"].clone(),
        problem["path"].clone(),
    )
}

#[tokio::test]
async fn disallowed_media_type_lists_allowed_ones() {
    let stack = Stack::new();
    for content_type in [
        "image/svg+xml",
        "text/html",
        "image/jpegg",
        "application/x-msdownload; a=image/jpeg",
    ] {
        let expected = (422, json!("media_type_not_allowed"), json!("content_type"));
        assert_eq!(
            rejected(&stack, "content_type", content_type.into()).await,
            expected,
            "{content_type}"
        );
    }

    let mut request = photo();
    request["content_type"] = "text/html".into();
    let problem = ask(&stack, "ana", &request).await.json();
    assert_eq!(problem["allowed_types"][0], "image/jpeg", "{problem}");
}

#[tokio::test]
async fn allowed_type_ignores_case_and_parameters() {
    let stack = Stack::new();
    for content_type in [
        "IMAGE/JPEG",
        "video/mp4; codecs=\"avc1\"",
        "application/pdf;version=1.7",
    ] {
        let mut request = photo();
        request["content_type"] = content_type.into();
        assert_eq!(
            ask(&stack, "ana", &request).await.ok()["headers"]["content-type"],
            content_type
        );
    }
}

#[tokio::test]
async fn oversized_upload_is_rejected_with_the_limit() {
    let stack = Stack::new();
    let mut request = photo();
    request["content_length"] = 26_214_400.into();
    ask(&stack, "ana", &request).await.ok();
    request["content_length"] = 26_214_401.into();

    let response = ask(&stack, "ana", &request).await;
    let problem = response.json();
    let actual = (
        response.status,
        &problem["code"],
        &problem["path"],
        &problem["bytes_max"],
    );
    assert_eq!(
        actual,
        (
            422,
            &json!("media_too_large"),
            &json!("content_length"),
            &json!(26_214_400)
        )
    );
}

#[tokio::test]
async fn malformed_field_is_named() {
    let stack = Stack::new();
    let long = "n".repeat(257);
    let cases = [
        (
            "filename",
            vec![json!(""), json!(long), json!(7), Value::Null, json!(["a"])],
        ),
        (
            "content_type",
            vec![
                json!(""),
                json!("jpeg"),
                json!("image/jpeg\r\nx-amz-acl: public-read"),
                json!(" image/jpeg"),
                json!(7),
            ],
        ),
        (
            "content_length",
            vec![
                json!(0),
                json!(-1),
                json!(1.5),
                json!("21"),
                json!(1e300),
                Value::Null,
            ],
        ),
        (
            "sha256",
            vec![
                json!(""),
                json!("abc"),
                json!("g".repeat(64)),
                json!("=".repeat(44)),
                json!("é".repeat(32)),
                json!(7),
            ],
        ),
        ("resource_type", vec![json!(7), json!(["submission"])]),
    ];

    for (field, values) in cases {
        for value in values {
            let expected = (400, json!("invalid_request"), json!(field));
            assert_eq!(
                rejected(&stack, field, value.clone()).await,
                expected,
                "{field}: {value}"
            );
        }
    }
}

#[tokio::test]
async fn resource_type_must_have_media_fields() {
    let stack = Stack::new();
    for (resource_type, status) in [("submission", 200), ("meter", 422), ("invoice", 422)] {
        let mut request = photo();
        request["resource_type"] = resource_type.into();
        assert_eq!(
            ask(&stack, "ana", &request).await.status,
            status,
            "{resource_type}"
        );
    }
}

#[tokio::test]
async fn malformed_presign_request_is_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"filename":"a"}"#,
        "\u{0}",
        r#"["a.jpg","image/jpeg",1,null,null]"#,
    ] {
        let response = stack
            .post_bytes("media/presign", Some(&token), body.as_bytes())
            .await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (400, &json!("invalid_request")),
            "{body}"
        );
    }

    let mut twice = photo().to_string();
    twice.insert_str(1, r#""filename":"b.png","#);
    assert_eq!(
        stack
            .post_bytes("media/presign", Some(&token), twice.as_bytes())
            .await
            .status,
        400
    );
    assert_eq!(
        stack
            .post_bytes("media/presign", None, photo().to_string().as_bytes())
            .await
            .status,
        401
    );
}
