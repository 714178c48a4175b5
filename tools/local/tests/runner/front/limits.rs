//! Oversized bodies, many callers at once, and bytes that are not HTTP.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Barrier;

use serde_json::json;

use crate::client::{ApiResponse, Client};
use crate::process::{Runner, WAIT_MAX, token};

use super::{PUSH, in_memory};

#[test]
fn oversized_body_is_rejected_at_every_limit() {
    let (_home, runner) = in_memory();
    let token = token("ana");
    let responses = [3, 6, 10, 11, 20].map(|megabytes| {
        let body = format!("[{}]", "1,".repeat(megabytes * 512 * 1024));
        runner
            .client()
            .post("sync/push", &token, &body)
            .unwrap_or_else(|error| panic!("{megabytes} MB: {error}"))
    });

    // The function rejects bodies over 3 MB, Lambda over 6 MB, and API Gateway over 10 MB.
    assert_eq!(
        responses.each_ref().map(|response| response.status),
        [413; 5],
        "{responses:?}"
    );
    assert_eq!(responses[0].json()["code"], "body_too_large");
    assert!(
        responses[1..]
            .iter()
            .all(|response| response.json() == json!({"message": "Request Too Long"})),
        "{responses:?}"
    );
    assert_is_well(runner);
}

#[test]
fn hundred_concurrent_callers_get_responses() {
    let (_home, runner) = in_memory();
    let (addr, together) = (runner.addr, Barrier::new(100));
    let call = || {
        let mut client = Client::connect(addr).unwrap();
        together.wait();
        let response = client.send("GET /health", &[], b"").unwrap();
        (response.status, response.json())
    };

    let responses: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..100).map(|_| scope.spawn(call)).collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });

    assert_eq!(responses, vec![(200, json!({"status": "ok"})); 100]);
}

#[test]
fn garbage_is_rejected_or_disconnected() {
    let (_home, runner) = in_memory();
    let long = "x".repeat(1 << 20);
    let head = |line: &str| {
        format!("POST {PUSH} HTTP/1.1\r\nhost: 127.0.0.1\r\n{line}\r\n\r\n").into_bytes()
    };

    let cases = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), // TLS
        (0..=255).cycle().take(100_000).collect(),
        b"\r\n\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /health HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(),
        head(&format!("x-long: {long}")),
        head("content-length: -1"),
        head("content-length: 99999999999999999999999"),
        head("content-length: 1\r\ncontent-length: 2"),
        head("content-length: 4\r\ntransfer-encoding: gzip"),
        [
            head("transfer-encoding: chunked"),
            b"zz\r\nnot a chunk".to_vec(),
        ]
        .concat(),
        [head("content-length: 100"), b"cut".to_vec()].concat(),
        head("x-odd: \u{0}\r\n: nameless"),
    ];

    for bytes in cases {
        let response = response_to(runner.addr, &bytes);
        let excerpt = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 4"),
            "{excerpt:?} got {response:?}"
        );
    }
    assert_is_well(runner);
}

/// Sends bytes, closes the write side, and returns the response until the runner closes the
/// connection.
fn response_to(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.set_write_timeout(Some(WAIT_MAX)).unwrap();
    // The runner may close the connection while it still receives bytes.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            panic!("the runner did not close the connection: {error}")
        }
        _ => String::from_utf8(response).unwrap(),
    }
}

/// Checks that the runner still responds, and that it stops without a panic.
fn assert_is_well(runner: Runner) {
    let response: ApiResponse = runner.client().send("GET /health", &[], b"").unwrap();
    assert_eq!(
        (response.status, response.json()),
        (200, json!({"status": "ok"}))
    );
    assert_eq!(runner.stop("INT").code, Some(0));
}
