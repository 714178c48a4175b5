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

mod closable;

use std::{fs, path::Path, sync::Arc, time::Duration};

use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as Tcp},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use closable::Https;

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

#[cfg(test)]
mod tests;
