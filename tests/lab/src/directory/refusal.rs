//! A result other than success, as it goes back to the client (RFC 4511 §4.1.9, appendix A).

use ldap3_proto::proto::{LdapResult, LdapResultCode};
use thiserror::Error;

use super::Profile;
use super::dn::DnError;

/// The directory refused an operation.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the directory refused with {code:?}: {message}")]
pub struct Refusal {
    pub code: LdapResultCode,
    /// The closest ancestor that exists, for noSuchObject; else empty.
    pub matched: String,
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: LdapResultCode, message: impl Into<String>) -> Self {
        Self {
            code,
            matched: String::new(),
            message: message.into(),
        }
    }

    pub(crate) fn into_result(self) -> LdapResult {
        LdapResult {
            code: self.code,
            matcheddn: self.matched,
            message: self.message,
            referral: Vec::new(),
        }
    }

    /// noSuchObject with the closest ancestor that exists.
    pub(crate) fn absent(profile: Profile, matched: String) -> Self {
        let message = match profile {
            Profile::OpenLdap => String::new(),
            Profile::Ad => format!(
                "0000208D: NameErr: DSID-03100245, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'{matched}'\n"
            ),
        };
        Self {
            code: LdapResultCode::NoSuchObject,
            matched,
            message,
        }
    }

    pub(crate) fn bad_name(profile: Profile, source: &DnError) -> Self {
        let message = match profile {
            Profile::OpenLdap => "invalid DN".to_owned(),
            Profile::Ad => format!(
                "0000208F: NameErr: DSID-03100233, problem 2006 (BAD_NAME), data 8350: {source}"
            ),
        };
        Self::new(LdapResultCode::InvalidDNSyntax, message)
    }
}
