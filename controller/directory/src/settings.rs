//! What a [`DirectorySource`](crate::DirectorySource) needs to know, as its host took it from a DirectoryConnector and its
//! Secret. Nothing here is looked up; every error names the field of the resource.

use std::time::Duration;

use plumbline_engine::entry::ServerType;
use secrecy::{ExposeSecret, SecretString};

use crate::{error::DirectoryError, feed::Detect};

/// Entries asked for with each page. Active Directory sends at most 1,000; the client library buffers a page.
pub const PAGE_SIZE: u16 = 500;

/// How long a deletion may stay unseen where only complete reads show it.
pub const FULL_READS: Duration = Duration::from_secs(15 * 60);

/// How to reach and read one directory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the connector, for the log.
    pub name: String,
    /// The type that was claimed; `None` takes what the root DSE shows.
    pub server_type: Option<ServerType>,
    /// `ldaps://host[:port]` or `ldap://host[:port]` (which means StartTLS); tried in order.
    pub servers: Vec<String>,
    /// Everything below it is read.
    pub base_dn: String,
    /// An attribute that anchors users in place of the server's own.
    pub anchor: Option<String>,
    pub bind: Bind,
    /// Certificates (PEM) to trust beside those of the system.
    pub ca_pem: Option<Vec<u8>>,
    pub timeouts: Timeouts,
    /// Entries per page, 1 to 1,000; see [`PAGE_SIZE`].
    pub page_size: u16,
    /// How changes are found.
    pub detect: Detect,
    /// Time from one complete read to the next where changes are found by `modifyTimestamp`, which shows no deletions; see
    /// [`FULL_READS`].
    pub full_reads: Duration,
}

/// How to sign in to the directory.
#[derive(Clone, Debug)]
pub enum Bind {
    /// RFC 4513 §5.1.3, over TLS only. Active Directory takes a DN, a UPN or `DOMAIN\name`.
    Simple {
        username: String,
        password: SecretString,
    },
}

/// How long to wait for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For TCP, StartTLS and the TLS handshake together.
    pub connect: Duration,
    /// For the next entry or result of an operation.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Refuses what can be known to be wrong without a server.
    pub(crate) fn check(&self) -> Result<(), DirectoryError> {
        if self.servers.is_empty() {
            return Err(DirectoryError::InvalidServer {
                index: 0,
                url: String::new(),
                problem: "there is none",
            });
        }
        for (index, url) in self.servers.iter().enumerate() {
            if let Some(problem) = problem_of(url) {
                let url = url.clone();
                return Err(DirectoryError::InvalidServer {
                    index,
                    url,
                    problem,
                });
            }
        }
        if let Some(attribute) = self
            .anchor
            .as_deref()
            .filter(|name| !is_attribute_name(name))
        {
            return Err(DirectoryError::InvalidAnchor {
                attribute: attribute.to_owned(),
            });
        }
        let Bind::Simple { username, password } = &self.bind;
        if username.is_empty() {
            return Err(DirectoryError::EmptyCredential { key: "username" });
        }
        // An empty password makes an anonymous bind, which succeeds (RFC 4513 §5.1.2).
        if password.expose_secret().is_empty() {
            return Err(DirectoryError::EmptyCredential { key: "password" });
        }
        Ok(())
    }
}

/// Whether the URL asks for StartTLS rather than TLS from the first byte.
pub(crate) fn starts_tls(url: &str) -> bool {
    url.starts_with("ldap://")
}

/// RFC 4512 §1.4: a name or a numeric OID, here without options.
fn is_attribute_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// `ldap3` panics on a URL without a host, so that much is checked here.
fn problem_of(url: &str) -> Option<&'static str> {
    let Some(authority) = url
        .strip_prefix("ldaps://")
        .or_else(|| url.strip_prefix("ldap://"))
    else {
        return Some("it must begin with `ldaps://` or `ldap://`");
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty()
        || !host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        return Some("it must have a host name or IPv4 address and nothing after the port");
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Some("its port must be a number from 1 to 65535"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ldap_urls_with_a_host_are_taken() {
        for url in [
            "ldaps://dc1.corp.example.com",
            "ldap://10.0.0.1:1389/",
            "ldaps://dc1:636",
        ] {
            assert_eq!(problem_of(url), None, "{url}");
        }
        for url in [
            "",
            "dc1",
            "http://dc1",
            "ldaps://",
            "ldap://:389",
            "ldap:dc1",
            "ldaps://dc1:0",
            "ldaps://dc1:99999",
            "ldaps://dc1/DC=x",
            "ldaps://user@dc1",
            "LDAPS://dc1",
            "ldaps://dc1:636:636",
        ] {
            assert!(problem_of(url).is_some(), "{url}");
        }
    }
}
