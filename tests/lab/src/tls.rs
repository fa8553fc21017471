//! A small certificate authority for tests, made afresh in each process.
//!
//! In: names or addresses a server answers to. Out: PEM for files and Secrets, and ready `rustls` server
//! configurations. Crypto is aws-lc-rs only; keys never leave the process unless the caller writes the PEM.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Why a test certificate or its TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("making a test certificate for {name}")]
    Certificate {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("building the TLS server configuration")]
    Configuration(#[source] rustls::Error),
}

/// A certificate authority: its certificate goes into `caRef`, what it issues into servers.
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TestCa").finish_non_exhaustive()
    }
}

/// A certificate with its private key, both PEM (the key as PKCS#8).
#[derive(Clone)]
pub struct Identity {
    pub certificate_pem: String,
    pub key_pem: String,
    certificate_der: Vec<u8>,
    key_der: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl TestCa {
    /// A new authority with a key of its own; `common_name` is shown in error messages of TLS clients.
    pub fn new(common_name: &str) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Certificate {
            name: common_name.to_owned(),
            source,
        };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for these DNS names and IP addresses (as subjectAltName; clients look nowhere else).
    pub fn issue(&self, names: &[&str]) -> Result<Identity, TlsError> {
        self.issue_until(names, (2099, 1, 1))
    }

    /// As [`TestCa::issue`], but the certificate ran out in 2021.
    pub fn issue_expired(&self, names: &[&str]) -> Result<Identity, TlsError> {
        self.issue_until(names, (2021, 1, 1))
    }

    fn issue_until(&self, names: &[&str], end: (i32, u8, u8)) -> Result<Identity, TlsError> {
        let failed = |source| TlsError::Certificate {
            name: names.join(", "),
            source,
        };
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(owned).map_err(failed)?;
        params.distinguished_name =
            named(names.first().copied().unwrap_or("lab")).distinguished_name;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(end.0, end.1, end.2);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity::new(&certificate, &key))
    }
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        }
    }

    /// A self-signed RSA-2048 certificate, as people register one with an application to sign client assertions.
    pub fn self_signed_rsa(common_name: &str) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Certificate {
            name: common_name.to_owned(),
            source,
        };
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)
            .map_err(failed)?;
        let certificate = named(common_name).self_signed(&key).map_err(failed)?;
        Ok(Self::new(&certificate, &key))
    }

    /// The certificate in DER, for thumbprints.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// A TLS 1.2 and 1.3 server configuration that asks no client for a certificate.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = vec![CertificateDer::from(self.certificate_der.clone())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map(Arc::new)
            .map_err(TlsError::Configuration)
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}
