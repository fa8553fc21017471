//! Cookies of OpenLDAP and 389-ds: checked before they are sent, merged as each product needs it (measured on OpenLDAP 2.5 and
//! 389-ds 2.3; the RFC leaves their content to servers).
//!
//! Servers answer a cookie that they cannot read with everything and a flag that says nothing is gone, or with a wrong difference. So a
//! cookie is only kept if its form is the product's own, and a number only if it can be true.

use std::{collections::BTreeMap, fmt};

/// Where a server's content stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    OpenLdap(Csns),
    Ds389(Number),
}

/// The newest change of each server that ever wrote (`rid=000,csn=…;…`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Csns(BTreeMap<String, String>);

/// The number of a change in the retro changelog, and what 389-ds compares literally: host, account, base and filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) bound_to: String,
    pub(crate) number: u64,
}

impl Csns {
    /// `None` for a cookie without any CSN, as OpenLDAP sends when its clock was set back. `sid=` is dropped: it would make the server
    /// take us for that replica and withhold what comes from it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let list = text.split(',').find_map(|part| part.strip_prefix("csn="))?;
        let mut csns = BTreeMap::new();
        for csn in list.split(';') {
            csns.insert(server_of(csn)?.to_owned(), csn.to_owned());
        }
        Some(Self(csns))
    }

    /// Takes over what is newer, server by server: in the persist phase a cookie names only the server that wrote.
    pub(crate) fn merge(&mut self, other: Self) {
        for (server, csn) in other.0 {
            let held = self.0.entry(server).or_default();
            if *held < csn {
                *held = csn;
            }
        }
    }

    /// Whether something was written that the other does not know.
    pub(crate) fn is_ahead_of(&self, other: &Self) -> bool {
        let newer =
            |(server, csn): (&String, &String)| other.0.get(server).is_none_or(|held| held < csn);
        self.0.iter().any(newer)
    }
}

impl fmt::Display for Csns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sorted by server, as the server compares them.
        let csns: Vec<&str> = self.0.values().map(String::as_str).collect();
        write!(f, "rid=000,csn={}", csns.join(";"))
    }
}

/// The server of a CSN (`20261123053722.777323Z#000000#001#000000`).
fn server_of(csn: &str) -> Option<&str> {
    let mut parts = csn.split('#');
    let (time, count, server, part) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hexadecimal = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let whole = parts.next().is_none()
        && time.len() == 22
        && (time.bytes().enumerate()).all(|(at, b)| match at {
            14 => b == b'.',
            21 => b == b'Z',
            _ => b.is_ascii_digit(),
        })
        && hexadecimal(count, 6)
        && hexadecimal(server, 3)
        && hexadecimal(part, 6);
    whole.then_some(server)
}

impl Number {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (bound_to, number) = std::str::from_utf8(bytes).ok()?.rsplit_once('#')?;
        if bound_to.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            bound_to: bound_to.to_owned(),
            number: number.parse().ok()?,
        })
    }

    /// Takes over a number that is not lower and not above the changelog's last: 4294967295 came along with group writes.
    pub(crate) fn merge(&mut self, other: Self, last: u64) {
        if other.bound_to == self.bound_to && (self.number..=last).contains(&other.number) {
            self.number = other.number;
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.bound_to, self.number)
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenLdap(csns) => csns.fmt(f),
            Self::Ds389(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "20261123053722.777323Z#000000#001#000000";
    const LATER: &str = "20261123053723.000000Z#000000#001#000000";
    const TWO: &str = "20261123053000.000000Z#000000#002#000000";

    fn csns(text: &str) -> Csns {
        Csns::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_cookie_without_a_proper_csn_is_none() {
        for text in [
            "",
            "rid=000",
            "rid=000,csn=",
            "rid=000,csn=x",
            "csn=20261123053722.777323Z#000000#001",
            "rid=000,csn=20261123053722.777323Z#000000#001#000000;",
            "rid=000,csn=20261123053722Z#000000#001#000000",
            "rid=000,csn=20261123053722.777323Z#000000#00g#000000",
            "rid=000,delcsn=20261123053722.777323Z#000000#001#000000",
        ] {
            assert_eq!(Csns::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_sent_has_no_sid_and_is_sorted_by_server() {
        let cookie = csns(&format!("rid=017,sid=002,csn={TWO};{ONE}"));
        assert_eq!(cookie.to_string(), format!("rid=000,csn={ONE};{TWO}"));
        assert_eq!(csns(&cookie.to_string()), cookie);
    }

    #[test]
    fn one_servers_csn_is_merged_and_none_is_lowered() {
        let mut cookie = csns(&format!("rid=000,csn={ONE};{TWO}"));
        cookie.merge(csns(&format!("rid=000,csn={LATER}")));
        assert_eq!(cookie.to_string(), format!("rid=000,csn={LATER};{TWO}"));
        let before = cookie.clone();
        cookie.merge(csns(&format!("rid=000,csn={ONE}")));
        assert_eq!(cookie, before);
        assert!(!csns(&format!("rid=000,csn={ONE}")).is_ahead_of(&cookie));
        assert!(cookie.is_ahead_of(&csns(&format!("rid=000,csn={ONE};{TWO}"))));
        assert!(
            cookie.is_ahead_of(&csns(&format!("rid=000,csn={LATER}"))),
            "a server that was not known"
        );
    }

    #[test]
    fn a_number_is_taken_only_if_it_can_be_true() {
        let mut cookie = Number::parse(b"ds1:389#cn=reader:dc=x:(a=#b)#36").unwrap();
        assert_eq!(
            (cookie.bound_to.as_str(), cookie.number),
            ("ds1:389#cn=reader:dc=x:(a=#b)", 36)
        );
        let other = |number| Number {
            number,
            ..cookie.clone()
        };
        let (lower, higher, impossible) = (other(32), other(40), other(4_294_967_295));
        let elsewhere = Number {
            bound_to: "ds2".to_owned(),
            number: 41,
        };
        for (given, expected) in [(lower, 36), (impossible, 36), (elsewhere, 36), (higher, 40)] {
            cookie.merge(given, 50);
            assert_eq!(cookie.number, expected);
        }
        for text in [
            "",
            "#1",
            "ds1",
            "ds1#",
            "ds1#-1",
            "ds1#99999999999999999999",
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in any::<Vec<u8>>(), text in "(rid=|csn=|[0-9#Z.;,]){0,60}") {
            let _ = (Csns::parse(&bytes), Number::parse(&bytes));
            let _ = (Csns::parse(text.as_bytes()), Number::parse(text.as_bytes()));
        }
    }
}
