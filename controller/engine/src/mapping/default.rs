//! The mappings that apply when nothing is written: per kind of server and class, an expression for each target attribute.
//!
//! Which source attribute feeds which property follows Entra Connect's default rules for Active Directory, and RFC 2798
//! (inetOrgPerson), RFC 4519 and RFC 4524 for other servers. Those that the target cannot write are left out when compiling.

use crate::entry::{Class, ServerType};

/// A target attribute and its expression.
pub(super) type Default = (&'static str, &'static str);

const ACTIVE_DIRECTORY_USER: &[Default] = &[
    // A hidden userAccountControl must not enable anyone: no value, and so the object is set aside.
    (
        "accountEnabled",
        "has(user.userAccountControl) ? !bits(user.userAccountControl, 2) : null",
    ),
    ("businessPhones", "user.telephoneNumber"),
    ("city", "user.l"),
    ("companyName", "user.company"),
    ("country", "has(user.co) ? user.co : user.c"),
    ("department", "user.department"),
    (
        "displayName",
        "has(user.displayName) ? user.displayName : user.cn",
    ),
    ("division", "user.division"),
    ("employeeId", "user.employeeID"),
    ("employeeType", "user.employeeType"),
    ("extensionAttribute1", "user.extensionAttribute1"),
    ("extensionAttribute2", "user.extensionAttribute2"),
    ("extensionAttribute3", "user.extensionAttribute3"),
    ("extensionAttribute4", "user.extensionAttribute4"),
    ("extensionAttribute5", "user.extensionAttribute5"),
    ("extensionAttribute6", "user.extensionAttribute6"),
    ("extensionAttribute7", "user.extensionAttribute7"),
    ("extensionAttribute8", "user.extensionAttribute8"),
    ("extensionAttribute9", "user.extensionAttribute9"),
    ("extensionAttribute10", "user.extensionAttribute10"),
    ("extensionAttribute11", "user.extensionAttribute11"),
    ("extensionAttribute12", "user.extensionAttribute12"),
    ("extensionAttribute13", "user.extensionAttribute13"),
    ("extensionAttribute14", "user.extensionAttribute14"),
    ("extensionAttribute15", "user.extensionAttribute15"),
    ("faxNumber", "user.facsimileTelephoneNumber"),
    ("givenName", "user.givenName"),
    ("jobTitle", "user.title"),
    ("mail", "user.mail"),
    (
        "mailNickname",
        "has(user.mailNickname) ? user.mailNickname : mailNickname(user.userPrincipalName.split('@')[0])",
    ),
    ("mobilePhone", "user.mobile"),
    ("officeLocation", "user.physicalDeliveryOfficeName"),
    ("otherMails", "values('otherMailbox')"),
    ("postalCode", "user.postalCode"),
    ("preferredLanguage", "user.preferredLanguage"),
    ("state", "user.st"),
    ("streetAddress", "user.streetAddress"),
    ("surname", "user.sn"),
    (
        "usageLocation",
        "has(user.msExchUsageLocation) ? user.msExchUsageLocation.upperAscii() : user.c.upperAscii()",
    ),
    ("userPrincipalName", "user.userPrincipalName"),
];

const LDAP_USER: &[Default] = &[
    // OpenLDAP's password policy and 389 Directory Server's lock; neither has it on a person who may sign in.
    (
        "accountEnabled",
        "user.pwdAccountLockedTime != '000001010000Z' && user.nsAccountLock.lowerAscii() != 'true'",
    ),
    ("businessPhones", "user.telephoneNumber"),
    ("city", "user.l"),
    ("companyName", "user.o"),
    ("country", "has(user.co) ? user.co : user.c"),
    (
        "department",
        "has(user.ou) ? user.ou : user.departmentNumber",
    ),
    (
        "displayName",
        "has(user.displayName) ? user.displayName : user.cn",
    ),
    ("employeeId", "user.employeeNumber"),
    ("employeeType", "user.employeeType"),
    ("faxNumber", "user.facsimileTelephoneNumber"),
    ("givenName", "user.givenName"),
    ("jobTitle", "user.title"),
    ("mail", "user.mail"),
    (
        "mailNickname",
        "has(user.uid) ? mailNickname(user.uid) : mailNickname(user.mail.split('@')[0])",
    ),
    ("mobilePhone", "user.mobile"),
    (
        "officeLocation",
        "has(user.physicalDeliveryOfficeName) ? user.physicalDeliveryOfficeName : user.roomNumber",
    ),
    ("otherMails", "values('mail').filter(m, m != user.mail)"),
    ("postalCode", "user.postalCode"),
    // RFC 2798 gives it the form of Accept-Language: `en-US, de;q=0.5`.
    (
        "preferredLanguage",
        "user.preferredLanguage.split(',')[0].split(';')[0].trim()",
    ),
    ("state", "user.st"),
    (
        "streetAddress",
        "has(user.street) ? user.street : user.streetAddress",
    ),
    ("surname", "user.sn"),
    ("usageLocation", "user.c.upperAscii()"),
    ("userPrincipalName", "user.mail"),
];

const ACTIVE_DIRECTORY_GROUP: &[Default] = &[
    ("description", "group.description"),
    (
        "displayName",
        "has(group.displayName) ? group.displayName : group.cn",
    ),
    (
        "mailNickname",
        "has(group.mailNickname) ? group.mailNickname : mailNickname(group.sAMAccountName)",
    ),
];

const LDAP_GROUP: &[Default] = &[
    ("description", "group.description"),
    (
        "displayName",
        "has(group.displayName) ? group.displayName : group.cn",
    ),
    ("mailNickname", "mailNickname(group.cn)"),
];

/// By target attribute, each once. Contacts have none: no target takes them yet.
pub(super) fn defaults(server: ServerType, class: Class) -> &'static [Default] {
    match (server, class) {
        (ServerType::ActiveDirectory, Class::User) => ACTIVE_DIRECTORY_USER,
        (ServerType::ActiveDirectory, Class::Group) => ACTIVE_DIRECTORY_GROUP,
        (_, Class::User) => LDAP_USER,
        (_, Class::Group) => LDAP_GROUP,
        (_, Class::Contact) => &[],
    }
}

/// The source attribute with the DN of a person's manager.
pub(super) fn manager(class: Class) -> Option<&'static str> {
    (class == Class::User).then_some("manager")
}

/// The source attributes with the DNs of a group's members.
pub(super) fn members(server: ServerType, class: Class) -> &'static [&'static str] {
    match (server, class) {
        (_, Class::User | Class::Contact) => &[],
        (ServerType::ActiveDirectory, Class::Group) => &["member"],
        (_, Class::Group) => &["member", "uniquemember"],
    }
}
