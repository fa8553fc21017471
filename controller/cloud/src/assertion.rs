//! The assertion by which an application proves that it holds its certificate's key: a PS256 JWT with `x5t#S256`.
//!
//! Source: "Microsoft identity platform application authentication certificate credentials".

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Seconds that an assertion is valid.
const LIFETIME: i64 = 600;

/// Why no assertion could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertionError {
    #[error("reading the client certificate: it is not a PEM certificate")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    #[error("reading the certificate's private key: an RSA key in PEM is needed")]
    Key(#[source] jsonwebtoken::errors::Error),
    #[error("signing the client assertion")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: i64,
    iat: i64,
    exp: i64,
}

/// An assertion for the token endpoint `audience`, valid from `now` (seconds since 1970).
pub(crate) fn sign(
    certificate_pem: &str,
    key_pem: &SecretString,
    client_id: &str,
    audience: &str,
    now: i64,
) -> Result<SecretString, AssertionError> {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(AssertionError::Certificate)?;
    let key = EncodingKey::from_rsa_pem(key_pem.expose_secret().as_bytes())
        .map_err(AssertionError::Key)?;
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)));
    let claims = Claims {
        aud: audience,
        iss: client_id,
        sub: client_id,
        jti: crate::http::guid(),
        nbf: now,
        iat: now,
        exp: now + LIFETIME,
    };
    jsonwebtoken::encode(&header, &claims, &key)
        .map(SecretString::from)
        .map_err(AssertionError::Sign)
}
