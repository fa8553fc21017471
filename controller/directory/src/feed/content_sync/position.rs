//! Where a content synchronisation stands: the cookie, and what must be as it was for the cookie to mean anything.

use crate::feed::content_sync::{
    cookie::{Cookie, Csns, Number},
    message::SyncUuid,
};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) cookie: Cookie,
    /// The entry that `baseDN` names: another one in its place is another content.
    pub(crate) base: SyncUuid,
    /// The server, and when it was started: what a stopped server loses or is given, it never reports.
    pub(crate) server: String,
    pub(crate) started: String,
    /// Changes came that the cookie does not cover: it serves this connection only.
    pub(crate) doubtful: bool,
}

impl Position {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let product = match self.cookie {
            Cookie::OpenLdap(_) => "openldap",
            Cookie::Ds389(_) => "389",
        };
        let base = u128::from_be_bytes(self.base);
        let Self {
            cookie,
            server,
            started,
            doubtful,
            ..
        } = self;
        format!("{product}\n{base:032x}\n{server}\n{started}\n{doubtful}\n{cookie}").into_bytes()
    }

    /// `None` for what this program did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.splitn(6, '\n');
        let (product, base) = (lines.next()?, lines.next()?);
        let (server, started) = (lines.next()?, lines.next()?);
        let (doubtful, cookie) = (lines.next()?, lines.next()?.as_bytes());
        Some(Self {
            cookie: match product {
                "openldap" => Cookie::OpenLdap(Csns::parse(cookie)?),
                "389" => Cookie::Ds389(Number::parse(cookie)?),
                _ => return None,
            },
            base: u128::from_str_radix(base, 16).ok()?.to_be_bytes(),
            server: server.to_owned(),
            started: started.to_owned(),
            doubtful: doubtful.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_comes_back_as_it_was_and_nothing_else_is_one(base in any::<[u8; 16]>(), number in any::<u64>(), doubtful in any::<bool>(), bytes in any::<Vec<u8>>()) {
            let cookie = Cookie::Ds389(Number { bound_to: "ds1:389#cn=x:dc=x:(a=*)".to_owned(), number });
            let position = Position { cookie, base, server: "ldaps://ds1".to_owned(), started: "1".to_owned(), doubtful };
            prop_assert_eq!(Position::decode(&position.encode()), Some(position));
            prop_assert_eq!(Position::decode(&bytes), None);
        }
    }
}
