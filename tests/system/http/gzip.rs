//! Bodies of requests and responses that are compressed with gzip.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use lambda_http::{
    Body,
    http::{HeaderMap, HeaderValue, header},
};
use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::model::limits::{BODY_BYTES_MAX, UNCOMPRESSED_RESPONSE_BYTES_MAX};
use tidemark_tests::{ApiResponse, Item, Stack, scenario::meter};

use crate::bad_input::assert_problem;

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn headers(token: &str, pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn push(letters: usize) -> Value {
    let create = Item::create_as("meter", "t", json!({"note": "x".repeat(letters)}));
    json!({"device_id": "phone", "items": [create.version(1)]})
}

async fn send_packed(stack: &Stack, body: &[u8], coding: &str) -> ApiResponse {
    let token = stack.token("acme", "ana", &[], &[]);
    stack
        .send(
            "sync/push",
            &headers(&token, &[(header::CONTENT_ENCODING, coding)]),
            body,
        )
        .await
}

/// Returns the create of a meter with a note of so many letters.
fn noted(id: &str, letters: usize) -> Item {
    Item::create("meter", id, json!({"note": "x".repeat(letters)})).version(1)
}

/// Returns a stack on which the response to a pull has about 20 KB.
async fn with_changes(api: ApiKind) -> (Stack, String) {
    let stack = Stack::new().behind(api);
    let phone = stack.device("ana", "phone");
    let item = |n: usize| noted(&format!("m-{n}"), 400);
    phone.push((0..40).map(item).collect()).await;
    let token = phone.token.clone();
    (stack, token)
}

/// Pulls with this `accept-encoding` header.
async fn pull(stack: &Stack, token: &str, accepted: Option<&str>) -> ApiResponse {
    let accepted: Vec<_> = accepted
        .map(|value| (header::ACCEPT_ENCODING, value))
        .into_iter()
        .collect();
    stack
        .send(
            "sync/pull",
            &headers(token, &accepted),
            br#"{"since_token":null}"#,
        )
        .await
}

fn is_packed(response: &ApiResponse) -> bool {
    response
        .headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding == "gzip")
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn gzip_push_is_applied_by_both_apis(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    for coding in ["gzip", "GZIP", "x-gzip", " gzip ", "identity, gzip"] {
        let response =
            send_packed(&stack, &packed(push(2000).to_string().as_bytes()), coding).await;
        assert_eq!(response.ok()["results"][0]["status"], "ok", "{coding}");
    }
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn corrupt_gzip_body_is_rejected() {
    let stack = Stack::new();
    let whole = packed(push(10).to_string().as_bytes());
    let mut changed = whole.clone();
    let checksum = changed.len() - 8;
    changed[checksum] ^= 1;
    let cut = whole[..whole.len() - 1].to_vec();
    let followed = [whole.as_slice(), b"{}"].concat();

    for body in [Vec::new(), cut, changed, followed, b"\x1f\x8b".to_vec()] {
        for coding in ["gzip", "identity", ""] {
            let response = send_packed(&stack, &body, coding).await;
            assert_problem(
                &response,
                400,
                "invalid_request",
                Some("$"),
                &format!("{} bytes", body.len()),
            );
        }
    }

    assert_eq!(
        stack.rows("resources").len() + stack.rows("sync_items").len(),
        0
    );
}

#[tokio::test]
async fn unpacked_body_limit_is_3_mb() {
    let stack = Stack::new();
    let mut body = push(10).to_string().into_bytes();
    body.resize(BODY_BYTES_MAX, b' ');
    assert_eq!(
        send_packed(&stack, &packed(&body), "gzip").await.status,
        200
    );
    body.push(b' ');
    let response = send_packed(&stack, &packed(&body), "gzip").await;
    assert_problem(&response, 413, "body_too_large", None, "one byte more");
    body.resize(40 * BODY_BYTES_MAX, b' ');
    let bomb = send_packed(&stack, &packed(&body), "gzip").await;
    assert_problem(&bomb, 413, "body_too_large", None, "a decompression bomb");
}

/// The body `{}` in these encodings.
const BROTLI: &[u8] = b"\x8b\x00\x80\x7b\x7d\x03";
const ZLIB: &[u8] = b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00\x7b\x7d";

#[tokio::test]
async fn other_content_encoding_returns_415() {
    let stack = Stack::new();
    let twice = packed(&packed(push(10).to_string().as_bytes()));
    for coding in ["br", "deflate", "zstd", "gzip, gzip", "gzip, br"] {
        for body in [
            packed(push(10).to_string().as_bytes()),
            push(10).to_string().into_bytes(),
        ] {
            let response = send_packed(&stack, &body, coding).await;
            assert_problem(&response, 415, "unsupported_media_type", None, coding);
        }
    }

    for (coding, body) in [
        ("br", BROTLI),
        ("deflate", ZLIB),
        ("zstd", ZSTD),
        ("gzip, br", BROTLI),
        ("gzip, gzip", twice.as_slice()),
        ("br", &[]),
    ] {
        let response = send_packed(&stack, body, coding).await;
        assert_problem(&response, 415, "unsupported_media_type", None, coding);
        assert_eq!(
            response.headers[header::ACCEPT_ENCODING],
            "gzip",
            "{coding}"
        );
    }
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn gzip_is_detected_from_the_body(#[case] api: ApiKind) {
    let codings = ["", "gzip", "GZIP", "x-gzip", "identity", "identity, gzip"];
    let stack = Stack::new().behind(api);
    let plain = push(2000).to_string();
    for body in [plain.as_bytes(), packed(plain.as_bytes()).as_slice()] {
        for coding in codings {
            let response = send_packed(&stack, body, coding).await;
            assert_eq!(response.ok()["results"][0]["status"], "ok", "{coding}");
        }

        let token = stack.token("acme", "ana", &[], &[]);
        assert_eq!(
            stack
                .send("sync/push", &headers(&token, &[]), body)
                .await
                .status,
            200,
            "no header"
        );
    }
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn byte_order_mark_is_skipped() {
    let stack = Stack::new();
    let marked = format!("\u{feff}{}", push(10));
    let twice = format!("\u{feff}{marked}");

    for (body, status) in [
        (marked.as_bytes(), 200),
        (packed(marked.as_bytes()).as_slice(), 200),
        (format!("\u{feff} \n{}", push(10)).as_bytes(), 200),
        (twice.as_bytes(), 400),
        ("\u{feff}".as_bytes(), 400),
        (b"\xff\xfe{\0}\0".as_slice(), 400),
    ] {
        for coding in ["", "gzip", "identity"] {
            assert_eq!(
                send_packed(&stack, body, coding).await.status,
                status,
                "{:?} {coding}",
                String::from_utf8_lossy(body)
            );
        }
    }
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn large_response_is_compressed_on_request(#[case] api: ApiKind) {
    let (stack, token) = with_changes(api).await;
    let plain = pull(&stack, &token, None).await;
    assert!(!is_packed(&plain) && plain.text.len() > 10 * 1024);

    for accepted in ["gzip", "br, gzip;q=0.5", "*", "deflate, gzip"] {
        let response = pull(&stack, &token, Some(accepted)).await;
        assert_eq!(
            (is_packed(&response), &response.text),
            (true, &plain.text),
            "{accepted:?}"
        );
        assert_eq!(response.headers["vary"], "accept-encoding");
    }

    for rejected in ["identity", "gzip;q=0", "br", "*;q=0", "*, gzip;q=0"] {
        let response = pull(&stack, &token, Some(rejected)).await;
        assert!(!is_packed(&response), "{rejected:?}");
        assert_eq!(response.headers["vary"], "accept-encoding");
    }
}

#[tokio::test]
async fn compression_starts_above_its_limit() {
    let stack = Stack::new();
    let phone = stack.device("ana", "phone");
    // The response contains the server's payload, so its length follows from the length of the
    // payload.
    let respond = async |letters: usize, accepted: &[(header::HeaderName, &str)]| {
        let id = format!("m-{letters:06}");
        let create = noted(&id, letters);
        stack.device("bob", "tablet").push_one(create).await;
        let stale = meter("update", &id, 0, json!({"note": "y"}));
        let body = phone.body(&json!([stale])).to_string();
        stack
            .send(
                "sync/push",
                &headers(&phone.token, accepted),
                body.as_bytes(),
            )
            .await
    };

    let gzip = [(header::ACCEPT_ENCODING, "gzip")];
    let rest = respond(1000, &gzip).await.text.len() - 1000;
    for (bytes, expected) in [
        (UNCOMPRESSED_RESPONSE_BYTES_MAX, false),
        (UNCOMPRESSED_RESPONSE_BYTES_MAX + 1, true),
    ] {
        let response = respond(bytes - rest, &gzip).await;
        assert_eq!(
            (response.text.len(), is_packed(&response)),
            (bytes, expected)
        );
    }
}

/// Checks the response that the function returns to Lambda, before the test harness decodes it.
#[tokio::test]
async fn compressed_response_is_valid_gzip() {
    let (stack, token) = with_changes(ApiKind::Rest).await;
    let response = stack
        .respond(
            "POST",
            "sync/pull",
            &headers(&token, &[(header::ACCEPT_ENCODING, "gzip")]),
            b"{}",
        )
        .await;
    let Body::Binary(bytes) = response.body() else {
        panic!("text: {response:?}")
    };

    let mut text = String::new();
    GzDecoder::new(bytes.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, pull(&stack, &token, None).await.text);
    assert!(
        bytes.len() < text.len() / 5,
        "{} of {}",
        bytes.len(),
        text.len()
    );
}
