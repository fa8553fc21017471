//! The attribute types that the embedded directory knows, with what decides comparison, spelling and selection.
//!
//! Taken from slapd's core, cosine and inetorgperson schema and from Microsoft's published AD schema (2008 R2 with
//! the Exchange extension attributes). An attribute that is not listed is undefined: a filter on it is neither true
//! nor false, and it cannot be written.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Profile;

/// How values are compared and, for names and telephone numbers, spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// Case and repeated spaces do not count.
    Text,
    ExactText,
    /// A distinguished name.
    Name,
    Integer,
    Octets,
    Boolean,
    Time,
    /// Spaces and hyphens do not count.
    Telephone,
    Uuid,
    /// A change sequence number of slapd.
    ChangeNumber,
    Identifier,
}

/// Which profiles a property holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum In {
    Both,
    Ad,
    OpenLdap,
    Neither,
}

/// Whether an attribute comes with `*` or must be named (or asked for with `+`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    User,
    Operational,
}

/// One attribute type.
#[derive(Debug, Clone)]
pub(crate) struct AttributeType {
    pub(crate) name: String,
    alias: &'static str,
    pub(crate) oid: String,
    pub(crate) syntax: Syntax,
    known: In,
    single: In,
    pub(crate) usage: Usage,
}

impl In {
    fn holds(self, profile: Profile) -> bool {
        match self {
            Self::Both => true,
            Self::Neither => false,
            Self::Ad => profile == Profile::Ad,
            Self::OpenLdap => profile == Profile::OpenLdap,
        }
    }
}

impl AttributeType {
    pub(crate) fn single_valued(&self, profile: Profile) -> bool {
        self.single.holds(profile)
    }
}

/// The attribute type of a name (without options), if the profile has it. Names ignore ASCII case.
pub(crate) fn attribute_type(profile: Profile, name: &str) -> Option<&'static AttributeType> {
    let index = match profile {
        Profile::Ad => &INDEX.0,
        Profile::OpenLdap => &INDEX.1,
    };
    index.get(&name.to_ascii_lowercase()).copied()
}

/// All attribute types of a profile.
pub(crate) fn attribute_types(profile: Profile) -> impl Iterator<Item = &'static AttributeType> {
    TYPES.iter().filter(move |each| each.known.holds(profile))
}

/// The canonical name of an attribute type, or the name itself.
pub(crate) fn canonical(name: &str) -> &str {
    attribute_type(Profile::OpenLdap, name).map_or(name, |found| &found.name)
}

/// Whether values of this attribute are distinguished names.
pub(crate) fn is_name(profile: Profile, attribute: &str) -> bool {
    attribute_type(profile, attribute).is_some_and(|found| found.syntax == Syntax::Name)
}

/// The classes that a class of slapd's schema derives from.
pub(crate) fn superclasses(class: &str) -> &'static [&'static str] {
    match class.to_ascii_lowercase().as_str() {
        "inetorgperson" => &["organizationalPerson", "person", "top"],
        "organizationalperson" => &["person", "top"],
        _ => &["top"],
    }
}

type Index = HashMap<String, &'static AttributeType>;

static INDEX: LazyLock<(Index, Index)> = LazyLock::new(|| {
    let index = |profile| {
        let aliases = attribute_types(profile).filter(|each| !each.alias.is_empty());
        let mut index: Index = aliases
            .map(|each| (each.alias.to_ascii_lowercase(), each))
            .collect();
        for each in attribute_types(profile) {
            index.insert(each.oid.clone(), each);
            index.insert(each.name.to_ascii_lowercase(), each);
        }
        index
    };
    (index(Profile::Ad), index(Profile::OpenLdap))
});

static TYPES: LazyLock<Vec<AttributeType>> = LazyLock::new(|| {
    let mut types: Vec<AttributeType> = ROWS
        .iter()
        .map(
            |&Row {
                 name,
                 alias,
                 oid,
                 syntax,
                 known,
                 single,
                 usage,
             }| AttributeType {
                name: name.to_owned(),
                alias,
                oid: oid.to_owned(),
                syntax,
                known,
                single,
                usage,
            },
        )
        .collect();
    let mut add = |name: String, oid: String| {
        types.push(AttributeType {
            name,
            alias: "",
            oid,
            syntax: Syntax::Text,
            known: In::Ad,
            single: In::Both,
            usage: Usage::User,
        });
    };
    for number in 1..=15 {
        let arc = if number <= 10 {
            422 + number
        } else {
            588 + number
        };
        add(
            format!("extensionAttribute{number}"),
            format!("1.2.840.113556.1.2.{arc}"),
        );
    }
    for number in 1..=20 {
        add(
            format!("msDS-cloudExtensionAttribute{number}"),
            format!("1.2.840.113556.1.4.{}", 2213 + number),
        );
    }
    types
});

struct Row {
    name: &'static str,
    alias: &'static str,
    oid: &'static str,
    syntax: Syntax,
    known: In,
    single: In,
    usage: Usage,
}

const fn row(
    name: &'static str,
    alias: &'static str,
    oid: &'static str,
    syntax: Syntax,
    known: In,
    single: In,
    usage: Usage,
) -> Row {
    Row {
        name,
        alias,
        oid,
        syntax,
        known,
        single,
        usage,
    }
}

use In::{Ad, Both, Neither, OpenLdap};
use Syntax::{
    Boolean, ChangeNumber, ExactText, Identifier, Integer, Name, Octets, Telephone, Text, Time,
    Uuid,
};
use Usage::{Operational, User};

/// name, alias, OID, syntax, known in, single-valued in, usage
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("objectClass", "", "2.5.4.0", Identifier, Both, Neither, User),
    row("cn", "commonName", "2.5.4.3", Text, Both, Ad, User),
    row("sn", "surname", "2.5.4.4", Text, Both, Ad, User),
    row("givenName", "gn", "2.5.4.42", Text, Both, Ad, User),
    row("initials", "", "2.5.4.43", Text, Both, Ad, User),
    row("displayName", "", "2.16.840.1.113730.3.1.241", Text, OpenLdap, Both, User),
    row("displayName", "", "1.2.840.113556.1.2.13", Text, Ad, Both, User),
    row("uid", "userid", "0.9.2342.19200300.100.1.1", Text, Both, Neither, User),
    row("mail", "rfc822Mailbox", "0.9.2342.19200300.100.1.3", Text, Both, Ad, User),
    row("title", "", "2.5.4.12", Text, Both, Ad, User),
    row("department", "", "1.2.840.113556.1.2.141", Text, Ad, Both, User),
    row("departmentNumber", "", "2.16.840.1.113730.3.1.2", Text, Both, Neither, User),
    row("company", "", "1.2.840.113556.1.2.146", Text, Ad, Both, User),
    row("o", "organizationName", "2.5.4.10", Text, Both, Neither, User),
    row("ou", "organizationalUnitName", "2.5.4.11", Text, Both, Neither, User),
    row("dc", "domainComponent", "0.9.2342.19200300.100.1.25", Text, Both, Both, User),
    row("telephoneNumber", "", "2.5.4.20", Telephone, Both, Ad, User),
    row("mobile", "mobileTelephoneNumber", "0.9.2342.19200300.100.1.41", Telephone, Both, Ad, User),
    row("homePhone", "homeTelephoneNumber", "0.9.2342.19200300.100.1.20", Telephone, Both, Ad, User),
    row("facsimileTelephoneNumber", "fax", "2.5.4.23", Text, Both, Ad, User),
    row("otherTelephone", "", "1.2.840.113556.1.2.18", Text, Ad, Neither, User),
    row("street", "streetAddress", "2.5.4.9", Text, Both, Ad, User),
    row("streetAddress", "", "1.2.840.113556.1.2.256", Text, Ad, Both, User),
    row("l", "localityName", "2.5.4.7", Text, Both, Ad, User),
    row("st", "stateOrProvinceName", "2.5.4.8", Text, Both, Ad, User),
    row("postalCode", "", "2.5.4.17", Text, Both, Ad, User),
    row("postalAddress", "", "2.5.4.16", Text, Both, Neither, User),
    row("c", "countryName", "2.5.4.6", Text, Both, Both, User),
    row("co", "friendlyCountryName", "0.9.2342.19200300.100.1.43", Text, OpenLdap, Neither, User),
    row("co", "", "1.2.840.113556.1.2.131", Text, Ad, Both, User),
    row("countryCode", "", "1.2.840.113556.1.4.25", Integer, Ad, Both, User),
    row("employeeNumber", "", "2.16.840.1.113730.3.1.3", Text, OpenLdap, Both, User),
    row("employeeNumber", "", "1.2.840.113556.1.2.610", Text, Ad, Both, User),
    row("employeeID", "", "1.2.840.113556.1.4.35", Text, Ad, Both, User),
    row("employeeType", "", "2.16.840.1.113730.3.1.4", Text, OpenLdap, Neither, User),
    row("employeeType", "", "1.2.840.113556.1.2.613", Text, Ad, Both, User),
    row("preferredLanguage", "", "2.16.840.1.113730.3.1.39", Text, Both, Both, User),
    row("physicalDeliveryOfficeName", "", "2.5.4.19", Text, Both, Ad, User),
    row("roomNumber", "", "0.9.2342.19200300.100.1.6", Text, Both, Neither, User),
    row("description", "", "2.5.4.13", Text, Both, Neither, User),
    row("info", "", "0.9.2342.19200300.100.1.4", Text, OpenLdap, Neither, User),
    row("info", "", "1.2.840.113556.1.2.81", Text, Ad, Both, User),
    row("businessCategory", "", "2.5.4.15", Text, Both, Neither, User),
    row("wWWHomePage", "", "1.2.840.113556.1.2.464", Text, Ad, Both, User),
    row("labeledURI", "", "1.3.6.1.4.1.250.1.57", ExactText, Both, Neither, User),
    row("thumbnailPhoto", "", "2.16.840.1.113730.3.1.35", Octets, Ad, Both, User),
    row("jpegPhoto", "", "0.9.2342.19200300.100.1.60", Octets, Both, Neither, User),
    row("userCertificate", "", "2.5.4.36", Octets, Both, Neither, User),
    row("manager", "", "0.9.2342.19200300.100.1.10", Name, Both, Ad, User),
    row("directReports", "", "1.2.840.113556.1.2.436", Name, Ad, Neither, User),
    row("secretary", "", "0.9.2342.19200300.100.1.21", Name, Both, Neither, User),
    row("owner", "", "2.5.4.32", Name, Both, Ad, User),
    row("seeAlso", "", "2.5.4.34", Name, Both, Neither, User),
    row("member", "", "2.5.4.31", Name, Both, Neither, User),
    row("memberOf", "", "1.2.840.113556.1.2.102", Name, OpenLdap, Neither, Operational),
    row("memberOf", "", "1.2.840.113556.1.2.102", Name, Ad, Neither, User),
    row("managedBy", "", "1.2.840.113556.1.4.653", Name, Ad, Both, User),
    row("managedObjects", "", "1.2.840.113556.1.4.654", Name, Ad, Neither, User),
    row("proxyAddresses", "", "1.2.840.113556.1.2.210", Text, Ad, Neither, User),
    row("userPrincipalName", "", "1.2.840.113556.1.4.656", Text, Ad, Both, User),
    row("sAMAccountName", "", "1.2.840.113556.1.4.221", Text, Ad, Both, User),
    row("sAMAccountType", "", "1.2.840.113556.1.4.302", Integer, Ad, Both, User),
    row("userAccountControl", "", "1.2.840.113556.1.4.8", Integer, Ad, Both, User),
    row("groupType", "", "1.2.840.113556.1.4.750", Integer, Ad, Both, User),
    row("userPassword", "", "2.5.4.35", Octets, Both, Neither, User),
    row("adminCount", "", "1.2.840.113556.1.4.150", Integer, Ad, Both, User),
    row("isCriticalSystemObject", "", "1.2.840.113556.1.4.868", Boolean, Ad, Both, User),
    row("primaryGroupID", "", "1.2.840.113556.1.4.98", Integer, Ad, Both, User),
    row("objectGUID", "", "1.2.840.113556.1.4.2", Octets, Ad, Both, User),
    row("objectSid", "", "1.2.840.113556.1.4.146", Octets, Ad, Both, User),
    row("mS-DS-ConsistencyGuid", "", "1.2.840.113556.1.4.1360", Octets, Ad, Both, User),
    row("accountExpires", "", "1.2.840.113556.1.4.159", Integer, Ad, Both, User),
    row("pwdLastSet", "", "1.2.840.113556.1.4.96", Integer, Ad, Both, User),
    row("lockoutTime", "", "1.2.840.113556.1.4.662", Integer, Ad, Both, User),
    row("dNSHostName", "", "1.2.840.113556.1.4.619", Text, Ad, Both, User),
    row("servicePrincipalName", "", "1.2.840.113556.1.4.771", Text, Ad, Neither, User),
    row("uSNCreated", "", "1.2.840.113556.1.2.19", Integer, Ad, Both, User),
    row("uSNChanged", "", "1.2.840.113556.1.2.120", Integer, Ad, Both, User),
    row("whenCreated", "", "1.2.840.113556.1.2.2", Time, Ad, Both, User),
    row("whenChanged", "", "1.2.840.113556.1.2.3", Time, Ad, Both, User),
    row("distinguishedName", "", "2.5.4.49", Name, Both, Ad, User),
    row("name", "", "2.5.4.41", Text, OpenLdap, Neither, User),
    row("name", "", "1.2.840.113556.1.4.1", Text, Ad, Both, User),
    row("objectCategory", "", "1.2.840.113556.1.4.782", Name, Ad, Both, User),
    row("instanceType", "", "1.2.840.113556.1.2.1", Integer, Ad, Both, User),
    row("isDeleted", "", "1.2.840.113556.1.2.48", Boolean, Ad, Both, User),
    row("isRecycled", "", "1.2.840.113556.1.4.2058", Boolean, Ad, Both, User),
    row("lastKnownParent", "", "1.2.840.113556.1.4.781", Name, Ad, Both, User),
    row("showInAdvancedViewOnly", "", "1.2.840.113556.1.2.169", Boolean, Ad, Both, User),
    row("systemFlags", "", "1.2.840.113556.1.4.375", Integer, Ad, Both, User),
    row("wellKnownObjects", "", "1.2.840.113556.1.4.618", Octets, Ad, Neither, User),
    row("invocationId", "", "1.2.840.113556.1.2.115", Octets, Ad, Both, User),
    row("lDAPDisplayName", "", "1.2.840.113556.1.2.460", Text, Ad, Both, User),
    row("attributeID", "", "1.2.840.113556.1.2.30", Identifier, Ad, Both, User),
    row("attributeSyntax", "", "1.2.840.113556.1.2.32", Identifier, Ad, Both, User),
    row("isSingleValued", "", "1.2.840.113556.1.2.33", Boolean, Ad, Both, User),
    row("parentGUID", "", "1.2.840.113556.1.4.1224", Octets, Ad, Both, Operational),
    row("entryUUID", "", "1.3.6.1.1.16.4", Uuid, OpenLdap, Both, Operational),
    row("entryCSN", "", "1.3.6.1.4.1.4203.666.1.7", ChangeNumber, OpenLdap, Both, Operational),
    row("contextCSN", "", "1.3.6.1.4.1.4203.666.1.25", ChangeNumber, OpenLdap, Neither, Operational),
    row("entryDN", "", "1.3.6.1.1.20", Name, OpenLdap, Both, Operational),
    row("creatorsName", "", "2.5.18.3", Name, OpenLdap, Both, Operational),
    row("modifiersName", "", "2.5.18.4", Name, OpenLdap, Both, Operational),
    row("hasSubordinates", "", "2.5.18.9", Boolean, OpenLdap, Both, Operational),
    // Of Exchange's schema, whose identifiers are not published; nothing asks for it by that.
    row("msExchMasterAccountSid", "", "msExchMasterAccountSid-oid", Octets, Ad, Both, User),
    row("targetAddress", "", "1.2.840.113556.1.2.352", Text, Ad, Both, User),
    row("mailNickname", "", "1.2.840.113556.1.2.447", Text, Ad, Both, User),
    row("createTimestamp", "", "2.5.18.1", Time, Both, Both, Operational),
    row("modifyTimestamp", "", "2.5.18.2", Time, Both, Both, Operational),
    row("structuralObjectClass", "", "2.5.21.9", Identifier, OpenLdap, Both, Operational),
    row("subschemaSubentry", "", "2.5.18.10", Name, Both, Both, Operational),
];
