//! Tests the gateway emulator ([`Front`]) over TCP, with functions that echo their input, fail or
//! panic.

use std::net::SocketAddr;

use tidemark_core::wire::origins::AllowedOrigins;
use tidemark_core::wire::routes::Route;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::invoke::{Invocation, Invocations};
use super::*;
use crate::deployment::LOCAL_ORIGINS;
use crate::engine::Engine;
use crate::store::Store;

const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/things/{id}",
        function: "echo",
    },
    Route {
        method: "POST",
        path: "/panic",
        function: "panic",
    },
];

fn functions() -> Functions {
    let echo: Function = Arc::new(|request| {
        Box::pin(
            async move { http::Response::new(lambda_http::Body::Binary(request.body().to_vec())) },
        )
    });
    let panic: Function =
        Arc::new(|_| Box::pin(async { unreachable!("this function always panics") }));
    BTreeMap::from([("echo", echo), ("panic", panic)])
}

fn invocations() -> Invocations {
    let echo: Invocation = Arc::new(|event| Box::pin(async move { Ok(event) }));
    let fails: Invocation = Arc::new(|_| Box::pin(async { Err("it went wrong".to_owned()) }));
    let panic: Invocation =
        Arc::new(|_| Box::pin(async { unreachable!("this function always panics") }));
    BTreeMap::from([("echo", echo), ("fails", fails), ("panic", panic)])
}

fn front(kind: ApiKind, media: &std::path::Path, port: u16) -> Front {
    let (engine, store) = (Engine::memory().unwrap(), Store::open(media).unwrap());
    let guard = Guard {
        port,
        origins: AllowedOrigins::parse(LOCAL_ORIGINS).unwrap(),
    };
    Front {
        kind,
        engine,
        store,
        clock: tidemark_aws::Clock::system(),
        invocations: invocations(),
        guard,
    }
}

async fn serving(kind: ApiKind) -> SocketAddr {
    let media = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = router(front(kind, media.path(), addr.port()), ROUTES, &functions()).unwrap();
    tokio::spawn(async move {
        let _media = media;
        axum::serve(listener, router).await
    });
    addr
}

/// Returns the method and the path that invoke the function with this name.
fn invocation(name: &str) -> String {
    format!("POST {}", invoke::PATH.replace("{name}", name))
}

/// Sends one request and returns status and body. `head` is `"METHOD path"`.
async fn send(addr: SocketAddr, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    send_with(addr, head, &[], body).await
}

/// Sends one request with further headers, each `"name: value"`, before the ordinary ones.
async fn send_with(addr: SocketAddr, head: &str, headers: &[&str], body: &[u8]) -> (u16, Vec<u8>) {
    let headers: String = headers
        .iter()
        .flat_map(|header| [*header, "\r\n"])
        .collect();
    let head = format!(
        "{head} HTTP/1.1\r\n{headers}host: {addr}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );

    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .await
        .unwrap();

    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    let end = response
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();

    let after_version = "HTTP/1.1 ".len();
    let status = std::str::from_utf8(&response[after_version..after_version + 3])
        .unwrap()
        .parse()
        .unwrap();
    (status, response[end + 4..].to_vec())
}

#[tokio::test]
async fn text_and_binary_bodies_round_trip() {
    for kind in [ApiKind::Rest, ApiKind::Http] {
        let addr = serving(kind).await;
        for body in [b"{\"a\":\"\xc3\xa4\"}".as_slice(), b"\x1f\x8b\xff\x00"] {
            assert_eq!(
                send(addr, "POST /things/1?x=%41", body).await,
                (200, body.to_vec())
            );
        }
    }
}

#[tokio::test]
async fn unknown_route_or_method_returns_404() {
    let addr = serving(ApiKind::Rest).await;
    for head in ["POST /nothing", "GET /things/1", "POST /"] {
        assert_eq!(
            send(addr, head, b"").await,
            (404, br#"{"message":"Not Found"}"#.to_vec()),
            "{head}"
        );
    }
}

#[tokio::test]
async fn panicking_function_returns_502() {
    let addr = serving(ApiKind::Rest).await;
    assert_eq!(
        send(addr, "POST /panic", b"").await,
        (502, br#"{"message":"Internal server error"}"#.to_vec())
    );
    assert_eq!(
        send(addr, "GET /health", b"").await,
        (200, br#"{"status":"ok"}"#.to_vec())
    );
}

#[tokio::test]
async fn malformed_headers_do_not_crash_front() {
    let addr = serving(ApiKind::Rest).await;
    for odd in ["host: [", "x-odd: \u{e4}", "x-forwarded-proto: :"] {
        let (status, _) = send_with(addr, "POST /things/1", &[odd], b"{}").await;
        // 502: the function may panic at such a request, but the front responds.
        assert!((200..503).contains(&status), "{odd}: {status}");
    }
    assert_eq!(send(addr, "GET /health", b"").await.0, 200);
}

#[tokio::test]
async fn oversized_body_is_rejected_with_413() {
    let addr = serving(ApiKind::Rest).await;
    // The event that contains the body exceeds the limit.
    let large = vec![b'x'; LAMBDA_PAYLOAD_BYTES_MAX];
    let (status, body) = send(addr, "POST /things/1", &large).await;
    assert_eq!(
        (status, body),
        (413, br#"{"message":"Request Too Long"}"#.to_vec())
    );
}

#[tokio::test]
async fn unsigned_bucket_request_is_denied() {
    let addr = serving(ApiKind::Rest).await;
    for bucket in ["media", "failure"] {
        assert_eq!(
            send(addr, &format!("GET /{bucket}/anything"), b"").await.0,
            403,
            "{bucket}"
        );
    }
}

#[test]
fn route_without_function_fails_at_start() {
    let media = tempfile::tempdir().unwrap();
    let error = router(
        front(ApiKind::Rest, media.path(), 9080),
        ROUTES,
        &Functions::new(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("POST /things/{id} names the function \"echo\""),
        "{error}"
    );
}

#[tokio::test]
async fn invocation_preserves_event_digit_for_digit() {
    let addr = serving(ApiKind::Rest).await;
    let event = br#"{"payload": {"n": 1.0, "big": 9007199254740993}}"#;
    assert_eq!(
        send(addr, &invocation("echo"), event).await,
        (200, event.to_vec())
    );
    assert_eq!(
        send(addr, &invocation("echo"), b"").await,
        (200, b"{}".to_vec())
    );
}

#[tokio::test]
async fn invocation_errors_match_lambda() {
    let addr = serving(ApiKind::Rest).await;
    let text = async |head: &str, body: &[u8]| {
        let (status, body) = send(addr, head, body).await;
        (status, String::from_utf8(body).unwrap())
    };

    let (status, body) = text(&invocation("push"), b"{}").await;
    assert_eq!(status, 404);
    assert!(
        body.contains("Function not found: arn:aws:lambda:us-east-1:000000000000:function:push"),
        "{body}"
    );

    let (status, body) = text(&invocation("echo"), b"{").await;
    assert_eq!(status, 400);
    assert!(
        body.contains("Could not parse request body into json"),
        "{body}"
    );

    let too_large = vec![b' '; LAMBDA_PAYLOAD_BYTES_MAX + 1];
    assert_eq!(text(&invocation("echo"), &too_large).await.0, 413);

    // Asynchronous invocations are not supported.
    let headers = ["x-amz-invocation-type: Event"];
    let (status, _) = send_with(addr, &invocation("echo"), &headers, b"{}").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn browser_page_may_not_invoke() {
    let addr = serving(ApiKind::Rest).await;
    let headers = ["origin: http://evil.example"];
    let (status, _) = send_with(addr, &invocation("echo"), &headers, b"{}").await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn failed_invocation_returns_error_message() {
    let addr = serving(ApiKind::Rest).await;
    for name in ["fails", "panic"] {
        let (status, body) = send(addr, &invocation(name), b"{}").await;
        // Lambda returns 200 for a failed function.
        assert_eq!(status, 200);
        assert!(
            String::from_utf8(body).unwrap().contains("errorMessage"),
            "{name}"
        );
    }

    assert_eq!(send(addr, "GET /health", b"").await.0, 200);
}
