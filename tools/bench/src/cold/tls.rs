//! A TLS proxy for a plain endpoint, to emulate the TLS of AWS endpoints. Its certificate authority
//! is generated, and functions trust it through `AWS_CA_BUNDLE`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

/// A certificate authority with a certificate for `localhost`.
pub struct Authority {
    /// The certificate of the authority in PEM, which functions trust.
    pub bundle: NamedTempFile,
    acceptor: TlsAcceptor,
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();

        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();

        let bundle = NamedTempFile::new().unwrap();
        std::fs::write(bundle.path(), authority.pem()).unwrap();

        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();

        Self {
            bundle,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }
}

impl Authority {
    /// Starts a TLS proxy for the plain server at `upstream` and returns its port on `localhost`.
    pub async fn start_proxy(&self, upstream: SocketAddr) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = self.acceptor.clone();

        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let (Ok(mut stream), Ok(mut server)) = (
                        acceptor.accept(stream).await,
                        TcpStream::connect(upstream).await,
                    ) else {
                        return;
                    };
                    let _ = server.set_nodelay(true);
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });

        port
    }
}
