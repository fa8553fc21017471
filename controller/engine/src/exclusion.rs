//! What is never synchronised, whatever the scope says: the entries that Microsoft's sync engine leaves out by default.
//!
//! System objects of Active Directory and Exchange, mailboxes of the system, and objects that lost a replication conflict.

use crate::entry::{Entry, EntryKind};

/// The attributes that the rules look at, in lower case.
pub const EXCLUSION_ATTRIBUTES: &[&str] = &[
    "displayname",
    "grouptype",
    "iscriticalsystemobject",
    "mail",
    "mailnickname",
    "member",
    "msexchhidefromaddresslists",
    "msexchrecipienttypedetails",
    "objectguid",
    "proxyaddresses",
    "samaccountname",
];

/// System mailboxes, discovery, arbitration, audit and the like (`msExchRecipientTypeDetails`).
const SYSTEM_RECIPIENTS: i64 = 0x21C0_7000;
/// A role group of Exchange.
const ROLE_GROUP: i64 = 0x4000_0000;
/// `groupType`: made by the system.
const BUILT_IN: i64 = 1;
const MOST_MEMBERS: usize = 250_000;

/// The rule that leaves the entry out; `None` when none does.
pub fn default_exclusion(entry: &Entry) -> Option<&'static str> {
    if entry.kind == EntryKind::Container {
        return None;
    }
    let any: &[(bool, &'static str)] = &[
        (
            !values(entry, "isCriticalSystemObject").is_empty(),
            "a critical system object",
        ),
        (
            lost_a_conflict(&entry.dn),
            "an object that lost a replication conflict",
        ),
    ];
    let of_kind = match entry.kind {
        EntryKind::User => user(entry),
        EntryKind::Contact => contact(entry),
        EntryKind::SecurityGroup => group(entry),
        EntryKind::DistributionGroup => group(entry)
            .or_else(|| (!mail_enabled(entry)).then_some("a distribution group without mail")),
        EntryKind::Container => None,
    };
    any.iter()
        .find(|(applies, _)| *applies)
        .map(|(_, rule)| *rule)
        .or(of_kind)
}

fn user(entry: &Entry) -> Option<&'static str> {
    let account = text(entry, "sAMAccountName");
    // Only Active Directory has objectGUID, and there every account that can sign in has the name.
    if account.is_empty() && !values(entry, "objectGUID").is_empty() {
        return Some("a user without sAMAccountName");
    }
    if account.starts_with("aad_") || account.starts_with("msol_") || account == "support_388945a0"
    {
        return Some("an account of a synchronisation or support service");
    }
    let nickname = text(entry, "mailNickname");
    if nickname.starts_with("systemmailbox{") || client_access(&nickname) || client_access(&account)
    {
        return Some("a system mailbox");
    }
    (number(entry, "msExchRecipientTypeDetails") & SYSTEM_RECIPIENTS != 0)
        .then_some("a system recipient of Exchange")
}

fn contact(entry: &Entry) -> Option<&'static str> {
    if !mail_enabled(entry) {
        return Some("a contact without mail");
    }
    let hidden = text(entry, "msExchHideFromAddressLists") == "true";
    if hidden && text(entry, "displayName").contains("(msol)") {
        return Some("a hidden contact of a synchronisation service");
    }
    client_access(&text(entry, "mailNickname")).then_some("a system mailbox")
}

fn group(entry: &Entry) -> Option<&'static str> {
    if number(entry, "groupType") & BUILT_IN != 0 {
        return Some("a built-in group");
    }
    if text(entry, "sAMAccountName") == "msol_ad_sync_richcoexistence" {
        return Some("a group of a synchronisation service");
    }
    if number(entry, "msExchRecipientTypeDetails") & ROLE_GROUP != 0 {
        return Some("a role group of Exchange");
    }
    (values(entry, "member").len() >= MOST_MEMBERS).then_some("a group of 250,000 members or more")
}

/// The mailbox that a client access array leaves: `CAS_{…}`.
fn client_access(name: &str) -> bool {
    name.starts_with("cas_") && name.contains('}')
}

fn mail_enabled(entry: &Entry) -> bool {
    !values(entry, "mail").is_empty()
        || values(entry, "proxyAddresses").iter().any(|value| {
            value
                .get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"smtp:"))
        })
}

/// The first RDN carries `\0ACNF:` and the GUID.
fn lost_a_conflict(dn: &str) -> bool {
    let mut escaped = false;
    let end = dn.bytes().position(|byte| {
        let separator = byte == b',' && !escaped;
        escaped = byte == b'\\' && !escaped;
        separator
    });
    let first = dn
        .get(..end.unwrap_or(dn.len()))
        .unwrap_or(dn)
        .to_ascii_lowercase();
    first.contains("\\0acnf:") || first.contains("\ncnf:")
}

fn values<'a>(entry: &'a Entry, name: &str) -> &'a [Vec<u8>] {
    entry.attributes.get(name)
}

/// The first value in lower case.
fn text(entry: &Entry, name: &str) -> String {
    let first = values(entry, name).first().map(Vec::as_slice);
    String::from_utf8_lossy(first.unwrap_or_default()).to_ascii_lowercase()
}

fn number(entry: &Entry, name: &str) -> i64 {
    text(entry, name).trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Attributes;

    fn entry(kind: EntryKind, dn: &str, attributes: &[(&str, &str)]) -> Entry {
        let mut all = Attributes::default();
        for (name, value) in attributes {
            all.add(name, vec![value.as_bytes().to_vec()]);
        }
        Entry {
            dn: dn.to_owned(),
            kind,
            anchor: None,
            alternate: None,
            attributes: all,
        }
    }

    #[test]
    fn what_the_sync_engine_of_microsoft_leaves_out_is_left_out() {
        use EntryKind::{Contact, DistributionGroup, SecurityGroup, User};
        type Case = (
            EntryKind,
            &'static str,
            &'static [(&'static str, &'static str)],
            bool,
        );
        let cases: &[Case] = &[
            (
                User,
                "CN=a",
                &[("sAMAccountName", "a"), ("objectGUID", "x")],
                false,
            ),
            (User, "CN=a", &[("objectGUID", "x")], true),
            (User, "uid=a", &[("uid", "a")], false),
            (
                User,
                "CN=a",
                &[("sAMAccountName", "a"), ("isCriticalSystemObject", "FALSE")],
                true,
            ),
            (User, "CN=a", &[("sAMAccountName", "MSOL_0123")], true),
            (User, "CN=a", &[("sAMAccountName", "aad_x")], true),
            (
                User,
                "CN=a",
                &[("sAMAccountName", "SUPPORT_388945a0")],
                true,
            ),
            (
                User,
                "CN=a",
                &[("sAMAccountName", "SUPPORT_388945a01")],
                false,
            ),
            (
                User,
                "CN=a",
                &[
                    ("sAMAccountName", "a"),
                    ("mailNickname", "SystemMailbox{1f}"),
                ],
                true,
            ),
            (User, "CN=a", &[("sAMAccountName", "CAS_{1}")], true),
            (User, "CN=a", &[("sAMAccountName", "CAS_1")], false),
            (
                User,
                "CN=a",
                &[
                    ("sAMAccountName", "a"),
                    ("msExchRecipientTypeDetails", "4096"),
                ],
                true,
            ),
            (
                User,
                "CN=a",
                &[("sAMAccountName", "a"), ("msExchRecipientTypeDetails", "1")],
                false,
            ),
            (
                User,
                "CN=a\\0ACNF:1f,DC=x",
                &[("sAMAccountName", "a")],
                true,
            ),
            (
                User,
                "CN=a,OU=b\\0ACNF:1f,DC=x",
                &[("sAMAccountName", "a")],
                false,
            ),
            (Contact, "CN=a", &[], true),
            (Contact, "CN=a", &[("mail", "a@b")], false),
            (Contact, "CN=a", &[("proxyAddresses", "SMTP:a@b")], false),
            (
                SecurityGroup,
                "CN=a",
                &[("groupType", "-2147483646")],
                false,
            ),
            (SecurityGroup, "CN=a", &[("groupType", "-2147483643")], true),
            (
                SecurityGroup,
                "CN=a",
                &[("sAMAccountName", "MSOL_AD_Sync_RichCoexistence")],
                true,
            ),
            (
                SecurityGroup,
                "CN=a",
                &[("msExchRecipientTypeDetails", "1073741824")],
                true,
            ),
            (DistributionGroup, "CN=a", &[("groupType", "2")], true),
            (
                DistributionGroup,
                "CN=a",
                &[("groupType", "2"), ("mail", "a@b")],
                false,
            ),
            (
                EntryKind::Container,
                "CN=Users",
                &[("isCriticalSystemObject", "TRUE")],
                false,
            ),
        ];
        for (kind, dn, attributes, excluded) in cases {
            let found = default_exclusion(&entry(*kind, dn, attributes));
            assert_eq!(
                found.is_some(),
                *excluded,
                "{kind:?} {dn} {attributes:?}: {found:?}"
            );
        }
    }

    #[test]
    fn every_attribute_that_the_rules_look_at_is_asked_for() {
        let source = include_str!("exclusion.rs");
        for call in ["text(entry, \"", "values(entry, \"", "number(entry, \""] {
            for rest in source.split(call).skip(1) {
                let name = rest
                    .split('"')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                if !name.is_empty() {
                    assert!(EXCLUSION_ATTRIBUTES.contains(&name.as_str()), "{name}");
                }
            }
        }
    }
}
