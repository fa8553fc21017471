//! The result of an LDAP operation that did not succeed (RFC 4511 appendix A), reduced to what a person needs: code, name
//! and the server's words. DNs and URLs that come with a result are kept only where a message is about them.

use std::{error::Error, fmt};

use ldap3::LdapResult;

/// Longest piece of a server's text that is shown.
const TEXT_LIMIT: usize = 300;

/// A result other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultCode {
    pub code: u32,
    /// The server's diagnostic message, cut to a sensible length.
    pub text: String,
}

impl From<&LdapResult> for ResultCode {
    fn from(result: &LdapResult) -> Self {
        let text = result.text.trim_end_matches('\0').trim();
        Self {
            code: result.rc,
            text: text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(TEXT_LIMIT)
                .collect(),
        }
    }
}

impl ResultCode {
    fn name(&self) -> &'static str {
        match self.code {
            1 => "operationsError",
            2 => "protocolError",
            3 => "timeLimitExceeded",
            4 => "sizeLimitExceeded",
            7 => "authMethodNotSupported",
            8 => "strongerAuthRequired",
            10 => "referral",
            11 => "adminLimitExceeded",
            12 => "unavailableCriticalExtension",
            13 => "confidentialityRequired",
            18 => "inappropriateMatching",
            32 => "noSuchObject",
            34 => "invalidDNSyntax",
            48 => "inappropriateAuthentication",
            49 => "invalidCredentials",
            50 => "insufficientAccessRights",
            51 => "busy",
            52 => "unavailable",
            53 => "unwillingToPerform",
            80 => "other",
            _ => "no common result",
        }
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "result {} ({})", self.code, self.name())?;
        if self.text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.text)
        }
    }
}

impl Error for ResultCode {}
