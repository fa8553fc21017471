//! What an entry is: the one filter that narrows a read by class, and the decision by `objectClass` and `groupType`.
//!
//! Active Directory classes by MS-ADSC; others by RFC 4519 (person, groups), RFC 2798 (`inetOrgPerson`) and RFC 2307
//! (`posixAccount`, `posixGroup`).

use plumbline_engine::entry::{Attributes, EntryKind, ServerType};

/// Bit of `groupType` that makes a security group (MS-ADTS 2.2.12).
const SECURITY_ENABLED: u32 = 0x8000_0000;

/// `inetOrgPerson` is a subclass of `user` there, and so is `computer`, whose category is another.
const ACTIVE_DIRECTORY_FILTER: &str = "(|(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))\
    (objectClass=group)(objectClass=organizationalUnit)(objectClass=container)(objectClass=domain)\
    (objectClass=builtinDomain)(objectClass=organization))";
const LDAP_FILTER: &str = "(|(objectClass=person)(objectClass=inetOrgPerson)(objectClass=account)\
    (objectClass=posixAccount)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=groupOfMembers)\
    (objectClass=posixGroup)(objectClass=organizationalUnit)(objectClass=organization)(objectClass=domain)\
    (objectClass=dcObject)(objectClass=country)(objectClass=locality)(objectClass=container)(objectClass=nsContainer))";

const USERS: [&str; 4] = ["person", "inetorgperson", "account", "posixaccount"];
const GROUPS: [&str; 4] = [
    "groupofnames",
    "groupofuniquenames",
    "groupofmembers",
    "posixgroup",
];
const CONTAINERS: [&str; 9] = [
    "organizationalunit",
    "organization",
    "domain",
    "dcobject",
    "country",
    "locality",
    "container",
    "builtindomain",
    "nscontainer",
];

/// The filter of a read. It narrows by class only: an entry that leaves a scope must still be seen.
pub(crate) fn filter(server_type: ServerType) -> &'static str {
    match server_type {
        ServerType::ActiveDirectory => ACTIVE_DIRECTORY_FILTER,
        ServerType::OpenLdap
        | ServerType::DirectoryServer389
        | ServerType::FreeIpa
        | ServerType::Generic => LDAP_FILTER,
    }
}

/// The filter that finds users, for looking at some of them.
pub(crate) fn user_filter(server_type: ServerType) -> &'static str {
    match server_type {
        ServerType::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
        ServerType::OpenLdap
        | ServerType::DirectoryServer389
        | ServerType::FreeIpa
        | ServerType::Generic => {
            "(|(objectClass=person)(objectClass=inetOrgPerson)(objectClass=account)(objectClass=posixAccount))"
        }
    }
}

/// The attributes that [`kind`] looks at.
pub(crate) fn attributes(server_type: ServerType) -> &'static [&'static str] {
    match server_type {
        ServerType::ActiveDirectory => &["objectclass", "grouptype"],
        ServerType::OpenLdap
        | ServerType::DirectoryServer389
        | ServerType::FreeIpa
        | ServerType::Generic => &["objectclass"],
    }
}

/// What a group whose kind is hidden must not lose, see [`kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Known(EntryKind),
    /// A group of Active Directory whose `groupType` the account cannot read. To call it either kind could make a
    /// managed group leave, so it is set aside.
    GroupOfHiddenType,
}

/// What the entry is; `None` when it takes no part (a computer, a service).
pub(crate) fn kind(server_type: ServerType, attributes: &Attributes) -> Option<Kind> {
    let is = |class: &str| {
        attributes
            .get("objectclass")
            .iter()
            .any(|value| value.eq_ignore_ascii_case(class.as_bytes()))
    };
    let any = |classes: &[&str]| classes.iter().any(|class| is(class));
    if server_type == ServerType::ActiveDirectory {
        if is("computer") {
            return None;
        }
        if is("group") {
            return Some(match group_type(attributes) {
                Some(bits) if bits & SECURITY_ENABLED != 0 => Kind::Known(EntryKind::SecurityGroup),
                Some(_) => Kind::Known(EntryKind::DistributionGroup),
                None => Kind::GroupOfHiddenType,
            });
        }
        if is("user") {
            return Some(Kind::Known(EntryKind::User));
        }
        if is("contact") {
            return Some(Kind::Known(EntryKind::Contact));
        }
    } else if any(&USERS) {
        return Some(Kind::Known(EntryKind::User));
    } else if any(&GROUPS) {
        return Some(Kind::Known(EntryKind::SecurityGroup));
    }
    any(&CONTAINERS).then_some(Kind::Known(EntryKind::Container))
}

/// `groupType` is a signed 32-bit number in decimal.
fn group_type(attributes: &Attributes) -> Option<u32> {
    let [value] = attributes.get("grouptype") else {
        return None;
    };
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    i32::try_from(number)
        .map(i32::cast_unsigned)
        .or_else(|_| u32::try_from(number))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_decide_what_an_entry_is() {
        use EntryKind::{Contact, Container, DistributionGroup, SecurityGroup, User};
        use ServerType::{ActiveDirectory, Generic, OpenLdap};
        let known = |kind| Some(Kind::Known(kind));
        let table: &[(ServerType, &[&str], &str, Option<Kind>)] = &[
            (
                ActiveDirectory,
                &["top", "person", "organizationalPerson", "user"],
                "",
                known(User),
            ),
            (
                ActiveDirectory,
                &["top", "person", "user", "inetOrgPerson"],
                "",
                known(User),
            ),
            (
                ActiveDirectory,
                &["top", "person", "user", "computer"],
                "",
                None,
            ),
            (
                ActiveDirectory,
                &["top", "person", "contact"],
                "",
                known(Contact),
            ),
            (
                ActiveDirectory,
                &["top", "group"],
                "-2147483646",
                known(SecurityGroup),
            ),
            (
                ActiveDirectory,
                &["top", "group"],
                "2147483650",
                known(SecurityGroup),
            ),
            (
                ActiveDirectory,
                &["top", "group"],
                "2",
                known(DistributionGroup),
            ),
            (
                ActiveDirectory,
                &["top", "group"],
                "",
                Some(Kind::GroupOfHiddenType),
            ),
            (
                ActiveDirectory,
                &["top", "group"],
                "x",
                Some(Kind::GroupOfHiddenType),
            ),
            (
                ActiveDirectory,
                &["top", "ORGANIZATIONALUNIT"],
                "",
                known(Container),
            ),
            (
                ActiveDirectory,
                &["top", "builtinDomain"],
                "",
                known(Container),
            ),
            (
                ActiveDirectory,
                &["top", "domain", "domainDNS"],
                "",
                known(Container),
            ),
            (ActiveDirectory, &["top", "printQueue"], "", None),
            (
                OpenLdap,
                &["inetOrgPerson", "posixAccount"],
                "",
                known(User),
            ),
            (
                OpenLdap,
                &["account", "simpleSecurityObject"],
                "",
                known(User),
            ),
            (
                OpenLdap,
                &["applicationProcess", "simpleSecurityObject"],
                "",
                None,
            ),
            (OpenLdap, &["groupOfNames"], "", known(SecurityGroup)),
            (
                Generic,
                &["top", "groupOfUniqueNames"],
                "",
                known(SecurityGroup),
            ),
            (Generic, &["posixGroup"], "", known(SecurityGroup)),
            (
                OpenLdap,
                &["dcObject", "organization"],
                "",
                known(Container),
            ),
            (OpenLdap, &[], "", None),
        ];
        for (server_type, classes, group_type, expected) in table {
            let mut attributes = Attributes::default();
            attributes.add(
                "objectClass",
                classes.iter().map(|c| c.as_bytes().to_vec()).collect(),
            );
            if !group_type.is_empty() {
                attributes.add("groupType", vec![group_type.as_bytes().to_vec()]);
            }
            assert_eq!(kind(*server_type, &attributes), *expected, "{classes:?}");
        }
    }
}
