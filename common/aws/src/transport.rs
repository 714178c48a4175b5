//! The HTTPS client of a function's calls to AWS.
//!
//! It trusts the five roots that [Amazon Trust Services](https://www.amazontrust.com/repository/) signs AWS's endpoints with, and no others: reading the
//! system's hundred and more takes several times the rest of a start. `AWS_CA_BUNDLE`, which all SDKs know, names a file of other ones: of an
//! endpoint of one's own, or of a proxy that looks inside.

use std::{fs, path::Path};

use aws_smithy_http_client::{
    Builder, HttpClientError,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

const AMAZON_ROOTS: &[u8] = include_bytes!("transport/amazon_roots.pem");

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
    Tls(#[from] HttpClientError),
}

/// The client, which trusts `bundle` in place of Amazon's roots, if there is one.
///
/// # Errors
/// The bundle does not read.
pub fn client(bundle: Option<&Path>) -> Result<SharedHttpClient, TransportError> {
    let roots = bundle.map_or_else(|| Ok(AMAZON_ROOTS.to_vec()), read)?;
    let trust = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots)).build()?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(trust).build_https())
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    let shown = path.display().to_string();
    let pem = fs::read(path).map_err(|source| TransportError::Unreadable { path: shown.clone(), source })?;
    let begins = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(begins.len()).any(|window| window == begins) { Ok(pem) } else { Err(TransportError::NoCertificate(shown)) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn amazons_roots_are_taken_and_so_is_a_bundle() {
        assert!(client(None).is_ok());
        let mut bundle = tempfile::NamedTempFile::new().expect("a file");
        bundle.write_all(AMAZON_ROOTS).expect("written");
        assert!(client(Some(bundle.path())).is_ok());
    }

    #[test]
    fn a_bundle_that_is_none_is_named() {
        let missing = client(Some(Path::new("/no/such/bundle.pem"))).expect_err("no such file").to_string();
        assert!(missing.starts_with("AWS_CA_BUNDLE names /no/such/bundle.pem, which does not read: "), "{missing}");
        let mut empty = tempfile::NamedTempFile::new().expect("a file");
        empty.write_all(b"no certificate").expect("written");
        let empty = client(Some(empty.path())).expect_err("no certificate").to_string();
        assert!(empty.ends_with("holds no certificate in PEM"), "{empty}");
    }
}
