//! The HTTP client of one tenant: TLS always, no redirects (requests carry tokens), time limits, bounded bodies.
//!
//! A CA of the user's is added to the system's. `reqwest` does not retry: only we know what may be repeated.

use std::{error::Error, io, time::Duration};

use plumbline_engine::reason::Reason;
use reqwest::{Certificate, Client, Response, redirect};

/// Named in every request.
const USER_AGENT: &str = concat!("plumbline/", env!("CARGO_PKG_VERSION"));

/// Longest body that is read: a page of 999 users with all attributes stays well below.
const BODY_LIMIT: usize = 32 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(60);

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(
        "reading the CA certificates: they are not PEM; correct the value that `tls.caRef` names"
    )]
    Ca(#[source] reqwest::Error),
    #[error("building the HTTP client")]
    Build(#[source] reqwest::Error),
    #[error("no connection to {host}")]
    Connect {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the answer of {host} was lost")]
    Lost {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the answer of {host} is longer than {BODY_LIMIT} bytes")]
    TooLong { host: String },
}

impl HttpError {
    /// Sorts a transport error by whether the request can have been sent. Its URL is dropped: queries hold values.
    pub(crate) fn from_send(source: reqwest::Error) -> Self {
        let host = source
            .url()
            .and_then(|url| url.host_str())
            .unwrap_or("the server")
            .to_owned();
        let connect = source.is_connect() || source.is_builder();
        let source = source.without_url();
        if connect {
            Self::Connect { host, source }
        } else {
            Self::Lost { host, source }
        }
    }

    /// The request cannot have reached the other side.
    pub(crate) fn is_unsent(&self) -> bool {
        !matches!(self, Self::Lost { .. } | Self::TooLong { .. })
    }

    /// The word for conditions.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Ca(_) | Self::Build(_) => Reason::TLSFailed,
            Self::Connect { source, .. } | Self::Lost { source, .. } if is_tls(source) => {
                Reason::TLSFailed
            }
            Self::TooLong { .. } => Reason::ReadIncomplete,
            Self::Connect { .. } | Self::Lost { .. } => Reason::TargetUnreachable,
        }
    }
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An I/O error hides what it wraps from `source`.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| is_tls(inner)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The client of one tenant.
pub(crate) fn client(ca_pem: Option<&str>) -> Result<Client, HttpError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .https_only(true)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .timeout(TOTAL);
    if let Some(pem) = ca_pem {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(HttpError::Ca)?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(HttpError::Build)
}

/// The body, at most [`BODY_LIMIT`] bytes of it.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, HttpError> {
    let host = response.url().host_str().unwrap_or("the server").to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| HttpError::Lost {
        host: host.clone(),
        source: source.without_url(),
    })? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(HttpError::TooLong { host });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Seconds of a `Retry-After`; dates are not used by Graph.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// A random UUID (version 4), for `client-request-id` and `jti`.
pub(crate) fn guid() -> String {
    let bits: u128 = rand::random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}
