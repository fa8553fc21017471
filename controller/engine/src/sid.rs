//! Security identifiers of Active Directory ([MS-DTYP] 2.4.2): the printed form, and where they stand for an account of another forest.
//!
//! A member from a trusted forest is a `foreignSecurityPrincipal` in `CN=ForeignSecurityPrincipals`, whose name is the SID of the account.

use crate::dn::Dn;

/// `S-1-5-…` as bytes ([MS-DTYP] 2.4.2.2).
pub(crate) fn sid_bytes(text: &str) -> Option<Vec<u8>> {
    let mut numbers = text
        .strip_prefix("S-1-")
        .or_else(|| text.strip_prefix("s-1-"))?
        .split('-');
    let authority: u64 = numbers.next()?.parse().ok()?;
    let parts = numbers
        .map(|number| number.parse::<u32>().ok())
        .collect::<Option<Vec<_>>>()?;
    let count = u8::try_from(parts.len())
        .ok()
        .filter(|count| *count <= 15)?;
    let mut bytes = vec![1, count];
    bytes.extend(authority.to_be_bytes().get(2..)?);
    bytes.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
    Some(bytes)
}

/// Whether it is of an account or group of a domain (`S-1-5-21-…`). The others mean something else in each domain, or nobody at all:
/// Exchange writes `S-1-5-10` (self) where a mailbox is linked to no account.
pub(crate) fn of_a_domain(sid: &[u8]) -> bool {
    sid.len() >= 12 && sid.get(2..12) == Some(&[0, 0, 0, 0, 0, 5, 21, 0, 0, 0])
}

/// The SID of the account that a link to a `foreignSecurityPrincipal` means; `None` for any other DN.
pub(crate) fn foreign(dn: &str) -> Option<Vec<u8>> {
    // Cheap first: nearly every link is to somebody of the own domain.
    let start = dn.get(..7)?;
    if !start.eq_ignore_ascii_case("CN=S-1-") {
        return None;
    }
    let dn = Dn::parse(dn).ok()?;
    let within = dn.parent()?;
    (within.first_value() == "foreignsecurityprincipals").then_some(())?;
    sid_bytes(dn.first_value()).filter(|sid| of_a_domain(sid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_sid_is_its_bytes() {
        // BUILTIN\Administrators: S-1-5-32-544.
        assert_eq!(
            sid_bytes("S-1-5-32-544"),
            Some(vec![1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0])
        );
        for wrong in ["S-1-", "S-2-5-32", "S-1-5-x", "", "S-1-5-99999999999"] {
            assert_eq!(sid_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_principals_of_another_domain_are_foreign() {
        let own = sid_bytes("S-1-5-21-1-2-3-1104");
        let written = "CN=S-1-5-21-1-2-3-1104,CN=ForeignSecurityPrincipals,DC=a,DC=example";
        assert_eq!(foreign(written), own);
        assert_eq!(foreign(&written.to_lowercase()), own);
        for other in [
            // Authenticated Users, and somebody who only looks like it.
            "CN=S-1-5-11,CN=ForeignSecurityPrincipals,DC=a,DC=example",
            "CN=S-1-5-21-1-2-3-1104,OU=Staff,DC=a,DC=example",
            "CN=S-1-,CN=ForeignSecurityPrincipals,DC=a",
            "CN=Anna,CN=Users,DC=a",
            "CN=é",
        ] {
            assert_eq!(foreign(other), None, "{other}");
        }
    }
}
