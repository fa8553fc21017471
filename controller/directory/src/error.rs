//! What can go wrong with a directory, as one enum: what was tried on which server, the reason for the condition, and what
//! to do next. Passwords and attribute values are never part of it.

use std::io;

use ldap3::LdapError;
use plumbline_engine::{entry::ServerType, port::Failure, reason::Reason};
use thiserror::Error;

use crate::{
    bind, decode::DecodeError, feed::FeedKind, range::RangeError, result_code::ResultCode, tls,
};

/// Why a directory could not be read.
#[derive(Debug, Error)]
pub enum DirectoryError {
    #[error("`servers[{index}]` cannot be used (`{url}`): {problem}")]
    InvalidServer {
        index: usize,
        url: String,
        problem: &'static str,
    },
    #[error("`anchor.attribute` is no attribute name: `{attribute}`")]
    InvalidAnchor { attribute: String },
    #[error("`{key}` in the Secret of `bind.simple.secretRef` is empty")]
    EmptyCredential { key: &'static str },
    #[error("`tls.caRef` cannot be used: {problem}")]
    InvalidCa { problem: String },
    #[error("TLS could not be set up")]
    TlsUnavailable {
        #[source]
        source: rustls::Error,
    },
    #[error("connecting to {server} failed")]
    Unreachable {
        server: String,
        #[source]
        source: io::Error,
    },
    #[error("{server} did not answer within {seconds} s when {doing}")]
    Timeout {
        server: String,
        doing: &'static str,
        seconds: u64,
    },
    #[error("TLS with {server} failed")]
    Tls {
        server: String,
        #[source]
        source: rustls::Error,
    },
    #[error("{server} does not start TLS, and without it nothing is sent")]
    StartTlsRefused {
        server: String,
        #[source]
        source: ResultCode,
    },
    #[error("{server} refused the bind with the credentials of `bind.simple.secretRef`")]
    BindRefused {
        server: String,
        #[source]
        source: ResultCode,
    },
    #[error("{server} is busy or unavailable")]
    Unavailable {
        server: String,
        #[source]
        source: ResultCode,
    },
    #[error("none of the {} servers could be used: {}", .attempts.len(), join(.attempts))]
    NoServer { attempts: Vec<DirectoryError> },
    #[error("{server} is {found}, but `type` says {claimed}", found = .found.as_str(), claimed = .claimed.as_str())]
    ServerTypeMismatch {
        server: String,
        claimed: ServerType,
        found: ServerType,
    },
    #[error("{server} holds another directory than {known}: `{base_dn}` is another entry there")]
    OtherDirectory {
        server: String,
        base_dn: String,
        known: String,
    },
    #[error("`baseDN` `{base_dn}` does not exist on {server}, or the account may not read it{}", nearest(.matched))]
    BaseNotFound {
        server: String,
        base_dn: String,
        /// The longest part of it that exists, where the server tells.
        matched: String,
    },
    #[error("{server} shows `{attribute}` of none of {sampled} users")]
    AnchorHidden {
        server: String,
        attribute: String,
        sampled: usize,
    },
    #[error(
        "{server} does not find an entry by its own `{attribute}`, so a search by anchor proves nothing"
    )]
    AnchorNotSearchable { server: String, attribute: String },
    #[error("{server} cannot be followed by {feed}, as `changes.detect` says: {why}")]
    FeedNotOffered {
        server: String,
        feed: FeedKind,
        why: String,
    },
    #[error("no naming context of {server} holds `baseDN` `{base_dn}`")]
    NoNamingContext { server: String, base_dn: String },
    #[error(
        "{server} does not let the account read `{naming_context}`, so a search by anchor proves nothing"
    )]
    ContextHidden {
        server: String,
        naming_context: String,
    },
    #[error("{server} refused the right when {doing}")]
    AccessDenied {
        server: String,
        doing: &'static str,
        #[source]
        source: ResultCode,
    },
    #[error("{server} ended early when {doing}")]
    Refused {
        server: String,
        doing: &'static str,
        #[source]
        source: ResultCode,
    },
    #[error("the connection to {server} was lost when {doing}")]
    ConnectionLost {
        server: String,
        doing: &'static str,
        #[source]
        source: Box<LdapError>,
    },
    #[error("{server} sent a malformed message when {doing}")]
    Malformed { server: String, doing: &'static str },
    #[error("{server} sent what cannot be decoded when {doing}")]
    Undecodable {
        server: String,
        doing: &'static str,
        #[source]
        source: DecodeError,
    },
    #[error(
        "{server} sent a page without the paging control when {doing}, so nothing tells whether it is the last"
    )]
    PageWithoutControl { server: String, doing: &'static str },
    #[error("{server} sent the same page twice when {doing}")]
    PageRepeated { server: String, doing: &'static str },
    #[error("the values of `{attribute}` of an entry could not be read to the end on {server}")]
    Range {
        server: String,
        attribute: String,
        #[source]
        source: RangeError,
    },
}

impl DirectoryError {
    /// The connection is of no more use, and another server may be.
    pub(crate) fn spoils_connection(&self) -> bool {
        matches!(
            self,
            Self::ConnectionLost { .. }
                | Self::Malformed { .. }
                | Self::Undecodable { .. }
                | Self::Timeout { .. }
                | Self::Unavailable { .. }
        )
    }

    /// Another server will answer the same: asking it would only spend a try of the account's lockout limit.
    pub(crate) fn same_everywhere(&self) -> bool {
        matches!(self, Self::BindRefused { .. })
    }
}

impl Failure for DirectoryError {
    fn reason(&self) -> Reason {
        match self {
            Self::InvalidServer { .. }
            | Self::InvalidAnchor { .. }
            | Self::InvalidCa { .. }
            | Self::FeedNotOffered { .. }
            | Self::OtherDirectory { .. } => Reason::InvalidSpec,
            Self::EmptyCredential { .. } | Self::BindRefused { .. } => Reason::BindFailed,
            Self::TlsUnavailable { .. } | Self::Tls { .. } | Self::StartTlsRefused { .. } => {
                Reason::TLSFailed
            }
            Self::Unreachable { .. } | Self::Unavailable { .. } => Reason::ServerUnreachable,
            Self::Timeout { doing, .. }
            | Self::ConnectionLost { doing, .. }
            | Self::Malformed { doing, .. }
                if [CONNECTING, BINDING, ROOT_DSE].contains(doing) =>
            {
                Reason::ServerUnreachable
            }
            // Servers fail for reasons of their own; the one that is not plain unreachability tells more.
            Self::NoServer { attempts } => attempts
                .iter()
                .map(Self::reason)
                .find(|reason| *reason != Reason::ServerUnreachable)
                .unwrap_or(Reason::ServerUnreachable),
            Self::ServerTypeMismatch { .. } => Reason::ServerTypeMismatch,
            Self::BaseNotFound { .. } | Self::NoNamingContext { .. } => Reason::BaseNotFound,
            Self::AnchorHidden { .. }
            | Self::AnchorNotSearchable { .. }
            | Self::ContextHidden { .. }
            | Self::AccessDenied { .. } => Reason::AccessDenied,
            Self::Timeout { .. }
            | Self::Refused { .. }
            | Self::ConnectionLost { .. }
            | Self::Malformed { .. }
            | Self::Undecodable { .. }
            | Self::PageWithoutControl { .. }
            | Self::PageRepeated { .. }
            | Self::Range { .. } => Reason::ReadIncomplete,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Tls { source, .. } => tls::hint(source),
            Self::StartTlsRefused { .. } => {
                "give the server a certificate, or use `ldaps://`".to_owned()
            }
            Self::BindRefused { source, .. } => bind_hint(source).to_owned(),
            Self::NoServer { attempts } => return attempts.iter().find_map(Self::hint),
            Self::BaseNotFound { .. } | Self::NoNamingContext { .. } => {
                "correct `baseDN`, or give the account the right to read it".to_owned()
            }
            Self::AnchorHidden { attribute, .. } => {
                format!("give the account the right to read `{attribute}`")
            }
            Self::AnchorNotSearchable { attribute, .. } => {
                format!("give the account the right to search on `{attribute}`")
            }
            Self::ContextHidden { naming_context, .. } => {
                format!("give the account the right to read the entry `{naming_context}` and to search below it")
            }
            Self::Refused { source, .. } => match source.code {
                4 | 11 => "raise the server's limits for this account (OpenLDAP: `limits … size=unlimited`)".to_owned(),
                3 => "raise the server's time limit for this account".to_owned(),
                10 => "the server sends this search elsewhere: name the server that holds `baseDN` in `servers`".to_owned(),
                _ => return None,
            },
            Self::FeedNotOffered { .. } => {
                "set `changes.detect` to Auto, or enable the feed on the server and give the account its rights".to_owned()
            }
            Self::OtherDirectory { .. } => {
                "name in `servers` only servers that hold the same directory".to_owned()
            }
            Self::ServerTypeMismatch { .. } => "correct `type`, or set it to Auto".to_owned(),
            _ => return None,
        })
    }
}

/// What is being done before anything is read.
pub(crate) const CONNECTING: &str = "connecting";
pub(crate) const BINDING: &str = "binding";
pub(crate) const ROOT_DSE: &str = "reading the root DSE";

fn bind_hint(result: &ResultCode) -> &'static str {
    if let Some(explanation) = bind::explain(&result.text) {
        return explanation;
    }
    match result.code {
        8 | 13 => {
            "the server wants a stronger bind than a simple one over this connection: use `ldaps://`"
        }
        34 => "`username` must be the DN of the account on this server",
        48 | 53 => "the account has no password, or may not bind with one",
        _ => "check `username` and `password` in the bind Secret",
    }
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

fn join(attempts: &[DirectoryError]) -> String {
    attempts
        .iter()
        .map(|e| chain(e))
        .collect::<Vec<_>>()
        .join("; ")
}

fn nearest(matched: &str) -> String {
    if matched.is_empty() {
        String::new()
    } else {
        format!("; `{matched}` exists")
    }
}
