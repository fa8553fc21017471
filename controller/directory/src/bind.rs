//! Why Active Directory refuses a bind: the `data` code in its diagnostic text, which is the same in every language
//! (`80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1`; Samba writes it alike).

/// The code after `data `, if the text has one.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("data ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    u32::from_str_radix(&digits, 16).ok()
}

/// What the code means and what to do, for the codes of a Win32 logon failure.
pub(crate) fn explain(text: &str) -> Option<&'static str> {
    Some(match code(text)? {
        0x525 => "no such user: check `username` in the bind Secret",
        // Also a disabled account with a wrong password, and on Samba a user that does not exist.
        0x52e => {
            "wrong user name or password: use a DN, a UPN or `DOMAIN\\name`, never the bare account name"
        }
        0x530 => "the account may not log on at this hour: change its logon hours",
        0x531 => "the account may not log on from this machine: change its logon workstations",
        0x532 => "the account's password has expired: set a new one and let it never expire",
        0x533 => "the account is disabled: enable it",
        0x568 => "the account is in too many groups: take it out of some",
        0x701 => "the account has expired: remove its expiry date",
        0x773 => "the account must change its password first: set one without that mark",
        0x775 => "the account is locked out: unlock it, and look for who uses an old password",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_logon_failure_has_its_own_words() {
        let mut seen = std::collections::BTreeSet::new();
        for data in [
            "525", "52e", "530", "531", "532", "533", "568", "701", "773", "775",
        ] {
            let text = format!(
                "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1"
            );
            assert!(seen.insert(explain(&text).unwrap()), "{data}");
        }
    }

    #[test]
    fn other_texts_are_not_explained() {
        for text in [
            "",
            "data ",
            "data zz",
            "data 999999999999",
            "data 0, v1db1",
            "Invalid credentials",
        ] {
            assert_eq!(explain(text), None, "{text}");
        }
    }
}
