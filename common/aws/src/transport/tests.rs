//! The trusted roots, and the connection of a retried call.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_smithy_async::rt::sleep::TokioSleep;

use super::*;

#[test]
fn amazon_roots_and_bundle_are_loaded() {
    assert!(client(None).is_ok());
    let mut bundle = tempfile::NamedTempFile::new().expect("temporary file is created");
    bundle.write_all(AMAZON_ROOTS).expect("bundle is written");
    assert!(client(Some(bundle.path())).is_ok());
    assert_eq!(roots(AMAZON_ROOTS).map(|roots| roots.len()), Ok(5));
}

#[test]
fn missing_or_empty_bundle_is_named() {
    let missing = client(Some(Path::new("/no/such/bundle.pem")))
        .expect_err("bundle is missing")
        .to_string();
    assert!(
        missing.starts_with("AWS_CA_BUNDLE names /no/such/bundle.pem, which cannot be read: "),
        "{missing}"
    );

    let mut empty = tempfile::NamedTempFile::new().expect("temporary file is created");
    empty
        .write_all(b"no certificate")
        .expect("bundle is written");
    let empty = client(Some(empty.path()))
        .expect_err("bundle has no certificate")
        .to_string();
    assert!(empty.ends_with("holds no certificate in PEM"), "{empty}");
}

#[tokio::test]
async fn retry_uses_another_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port is free");
    let address = listener.local_addr().expect("listener has an address");

    // Requests over the first connection fail.
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let status = if number == 0 {
                "500 Internal Server Error"
            } else {
                "200 OK"
            };
            std::thread::spawn(move || {
                let (mut responses, requests) = (&stream, BufReader::new(&stream));
                let bodies = requests
                    .lines()
                    .map_while(Result::ok)
                    .filter(String::is_empty);
                for _ in bodies {
                    write!(
                        responses,
                        "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}"
                    )
                    .expect("response is written");
                }
            });
        }
    });

    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
        .sleep_impl(TokioSleep::new())
        .http_client(client(None).expect("client is created"));

    let listed = aws_sdk_dynamodb::Client::from_conf(config.build())
        .list_tables()
        .send()
        .await;
    assert!(listed.is_ok(), "{listed:?}");
}
