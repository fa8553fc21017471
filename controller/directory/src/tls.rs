//! TLS as clients of a directory need it: the system's roots and the connector's own CA, names checked against
//! subjectAltName. Built without the client library's default, which forgets all roots when one cannot be read.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::error::DirectoryError;

/// A configuration that trusts the system's roots and the certificates of `ca_pem`.
pub(crate) fn client_config(ca_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, DirectoryError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(system.certs);
    tracing::debug!(
        added,
        ignored,
        errors = system.errors.len(),
        "system roots loaded"
    );
    if let Some(pem) = ca_pem {
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|e| DirectoryError::InvalidCa {
                problem: e.to_string(),
            })?;
            roots
                .add(certificate)
                .map_err(|e| DirectoryError::InvalidCa {
                    problem: e.to_string(),
                })?;
            found += 1;
        }
        if found == 0 {
            return Err(DirectoryError::InvalidCa {
                problem: "it holds no PEM certificate".to_owned(),
            });
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| DirectoryError::TlsUnavailable { source })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What to do about a TLS failure.
pub(crate) fn hint(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                "give `tls.caRef` the CA certificate that signed the server's certificate"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "`servers` must use a name (or address) that the certificate's subjectAltName has; the common name does not \
                 count, and Samba's self-made certificate has no subjectAltName: give the server a proper one"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the server's certificate, or its CA"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "check the clocks of both machines"
            }
            CertificateError::Revoked => "give the server a new certificate",
            _ => "check the server's certificate and `tls.caRef`",
        },
        _ => "check that the port speaks TLS (636 for `ldaps://`) and that the server allows TLS 1.2 or 1.3",
    }
    .to_owned()
}
