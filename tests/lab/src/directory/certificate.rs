//! A throw-away certificate authority: one CA for all servers of a test, rustls configurations signed by it.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use thiserror::Error;

/// A certificate or TLS configuration could not be made.
#[derive(Debug, Error)]
pub enum CertificateError {
    #[error("making a certificate failed")]
    Make(#[from] rcgen::Error),
    #[error("making a TLS server configuration failed")]
    Configure(#[from] rustls::Error),
}

/// A certificate authority that lives as long as the test.
#[derive(Debug)]
pub struct TestCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestCa {
    /// A new CA with a key of its own.
    pub fn new() -> Result<Self, CertificateError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Plumbline lab CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// The certificate that clients trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for DNS names and addresses, as a rustls configuration.
    pub fn server_config(&self, names: &[&str]) -> Result<rustls::ServerConfig, CertificateError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names)?.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?;
        Ok(builder
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?)
    }
}
