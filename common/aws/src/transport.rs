//! The HTTPS client of a function's calls: those to AWS, and that for a key set.
//!
//! AWS is reached over the five roots that [Amazon Trust
//! Services](https://www.amazontrust.com/repository/) signs its endpoints with, and no others:
//! reading the system's hundred and more takes several times the rest of a start. `AWS_CA_BUNDLE`,
//! which all SDKs know, names a file of other ones: of an endpoint of one's own, or of a proxy that
//! looks inside.
//!
//! The SDK has a client of its own, on the same libraries. It also speaks HTTP/2, which DynamoDB
//! does not, and knows proxies: 0.7 MB of each binary.

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

/// For a connection alone: what an attempt of a call may take is set with the calls.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file does not read.
    #[error("AWS_CA_BUNDLE names {path}, which does not read: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It holds no certificate.
    #[error("AWS_CA_BUNDLE names {0}, which holds no certificate in PEM")]
    NoCertificate(String),
    /// The TLS stack refused what it was given.
    #[error("the TLS client cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The client for AWS, which trusts `bundle` in place of Amazon's roots, if there is one.
///
/// # Errors
/// The bundle does not read.
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

/// The client for anybody else, which trusts whom the system trusts.
///
/// # Errors
/// The TLS stack cannot be set up.
pub(crate) fn system_connector() -> Result<SharedHttpConnector, TransportError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    connector(roots)
}

/// The certificates in a text; what stands between them is skipped.
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

/// HTTP/1.1 over TLS, or without it, with connections that are kept.
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
        // A server that fails is not asked again over the same connection: the SDK says when.
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

/// The connection of a call, for the SDK to have it closed.
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
    fn amazons_roots_are_taken_and_so_is_a_bundle() {
        assert!(client(None).is_ok());
        let mut bundle = tempfile::NamedTempFile::new().expect("a file");
        bundle.write_all(AMAZON_ROOTS).expect("written");
        assert!(client(Some(bundle.path())).is_ok());
        assert_eq!(roots(AMAZON_ROOTS).map(|roots| roots.len()), Ok(5));
    }

    #[test]
    fn a_bundle_that_is_none_is_named() {
        let missing = client(Some(Path::new("/no/such/bundle.pem")))
            .expect_err("no such file")
            .to_string();
        assert!(
            missing.starts_with("AWS_CA_BUNDLE names /no/such/bundle.pem, which does not read: "),
            "{missing}"
        );
        let mut empty = tempfile::NamedTempFile::new().expect("a file");
        empty.write_all(b"no certificate").expect("written");
        let empty = client(Some(empty.path()))
            .expect_err("no certificate")
            .to_string();
        assert!(empty.ends_with("holds no certificate in PEM"), "{empty}");
    }

    #[tokio::test]
    async fn a_server_that_fails_is_asked_again_over_another_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        // Whatever comes over the first connection fails.
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
                        .expect("written");
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
            .http_client(client(None).expect("a client"));
        let listed = aws_sdk_dynamodb::Client::from_conf(config.build())
            .list_tables()
            .send()
            .await;
        assert!(listed.is_ok(), "{listed:?}");
    }
}
