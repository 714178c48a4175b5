//! The HTTPS client of all calls of a function: the calls to AWS, and the fetch of a key set.
//!
//! Calls to AWS trust only the five roots of [Amazon Trust
//! Services](https://www.amazontrust.com/repository/) that sign its endpoints: loading the more
//! than one hundred roots of the system would take several times as long as the rest of
//! initialization. The variable `AWS_CA_BUNDLE`, which all SDKs support, names a file with other
//! roots, for a custom endpoint or a proxy that terminates TLS.
//!
//! The SDK's default client uses the same libraries, and also supports HTTP/2, which DynamoDB does
//! not, and proxies. It would add 0.7 MB to each binary.

use std::{fs, path::Path, sync::Arc, time::Duration};

use aws_smithy_runtime_api::client::{
    connection::{CaptureSmithyConnection, ConnectionMetadata},
    http::{
        HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, HttpConnector as Tcp, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

const AMAZON_ROOTS: &[u8] = include_bytes!("transport/amazon_roots.pem");

/// The timeout of connecting. The timeouts of calls and attempts are configured with the SDK.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// The reason why a client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file of the bundle cannot be read.
    #[error("AWS_CA_BUNDLE names {path}, which cannot be read: {source}")]
    Unreadable {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file contains no certificate in PEM format.
    #[error("AWS_CA_BUNDLE names {0}, which holds no certificate in PEM")]
    NoCertificate(String),
    /// The TLS stack rejected the certificates or its configuration.
    #[error("the TLS client cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Creates the client for AWS, which trusts the certificates of `bundle`, or by default Amazon's
/// roots.
///
/// # Errors
/// Returns [`TransportError`] if the bundle cannot be read or contains no certificate.
pub fn client(bundle: Option<&Path>) -> Result<SharedHttpClient, TransportError> {
    let roots = match bundle {
        None => roots(AMAZON_ROOTS)?,
        Some(path) => {
            let shown = path.display().to_string();
            let pem = fs::read(path).map_err(|source| TransportError::Unreadable {
                path: shown.clone(),
                source,
            })?;
            Some(roots(&pem)?)
                .filter(|roots| !roots.is_empty())
                .ok_or(TransportError::NoCertificate(shown))?
        }
    };

    let connector = connector(roots)?;
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// Creates the connector for all other servers, which trusts the roots of the operating system.
///
/// # Errors
/// Returns [`TransportError`] if the TLS stack cannot be configured.
pub(crate) fn system_connector() -> Result<SharedHttpConnector, TransportError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    connector(roots)
}

/// Parses the certificates of a PEM text. Skips other text between them.
fn roots(pem: &[u8]) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem).flatten() {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn connector(roots: RootCertStore) -> Result<SharedHttpConnector, TransportError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();

    let mut tcp = Tcp::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_MAX));

    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);

    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(https);
    Ok(SharedHttpConnector::new(Https(client)))
}

/// An HTTP/1.1 client with connection pooling, with TLS or without it.
#[derive(Debug)]
struct Https(Client<HttpsConnector<Tcp>, SdkBody>);

impl HttpConnector for Https {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };

        // The SDK decides when a retry after a server error must use another connection.
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || closable(connection.clone()));
        }

        let response = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = response
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Returns the handle with which the SDK closes the connection of a call.
fn closable(connection: CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let close = move || {
        if let Some(connection) = connection.connection_metadata().as_ref() {
            connection.poison();
        }
    };

    Some(
        ConnectionMetadata::builder()
            .proxied(false)
            .poison_fn(close)
            .build(),
    )
}

#[cfg(test)]
mod tests {
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
}
