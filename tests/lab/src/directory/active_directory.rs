//! What an Active Directory domain adds: identifiers, the objects of a new domain, and names in angle brackets.
//!
//! objectGUID is printed with its first three groups in little endian (MS-DTYP §2.3.4.2). The domain has the built-in
//! objects that a sync must leave alone (isCriticalSystemObject, adminCount, computers) and the configuration context
//! with the NTDS Settings object that `dsServiceName` names. Names: MS-ADTS §3.1.1.3.1.2.4.

use ldap3_proto::proto::LdapResultCode;

use super::dn::Dn;
use super::entry::{self, Entry};
use super::modify::{generalized_time, print_uuid, random_uuid};
use super::refusal::Refusal;
use super::schema;
use super::store::{Store, Stored};
use super::{Profile, dn};

const DELETED_OBJECTS: &str = "18e2ea80684f11d2b9aa00c04f79f805";
const WELL_KNOWN: [(&str, &str); 4] = [
    (DELETED_OBJECTS, "CN=Deleted Objects"),
    ("a9d1ca15768811d1aded00c04fd8d5cd", "CN=Users"),
    ("aa312825768811d1aded00c04fd8d5cd", "CN=Computers"),
    ("a361b2ffffd211d1aa4b00c04fd7d83a", "OU=Domain Controllers"),
];
const DOMAIN: [u32; 3] = [1_004_336_348, 1_177_238_915, 682_003_330];

/// The printed form of an objectGUID.
pub fn print_guid(raw: &[u8; 16]) -> String {
    print_uuid(&swap(raw))
}

/// The raw bytes of a printed objectGUID, or of 32 hex digits in raw order; none when it is neither.
pub fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
    let raw: [u8; 16] = bytes.try_into().ok()?;
    Some(if text.contains('-') { swap(&raw) } else { raw })
}

fn swap(raw: &[u8; 16]) -> [u8; 16] {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    order.map(|at: usize| raw.get(at).copied().unwrap_or_default())
}

/// The binary SID of a relative identifier in this domain, or of the domain itself.
pub(crate) fn sid(rid: Option<u32>) -> Vec<u8> {
    let parts: Vec<u32> = std::iter::once(21).chain(DOMAIN).chain(rid).collect();
    let mut bytes = vec![
        1,
        u8::try_from(parts.len()).unwrap_or_default(),
        0,
        0,
        0,
        0,
        0,
        5,
    ];
    bytes.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
    bytes
}

fn print_sid(bytes: &[u8]) -> String {
    let parts = bytes.get(8..).unwrap_or_default().chunks_exact(4);
    let numbers =
        parts.map(|part| u32::from_le_bytes(part.try_into().unwrap_or_default()).to_string());
    std::iter::once("S-1-5".to_owned())
        .chain(numbers)
        .collect::<Vec<_>>()
        .join("-")
}

/// Finds `<GUID=…>`, `<SID=…>` and `<WKGUID=…,DN>`.
pub(crate) fn resolve_extended(store: &Store, text: &str) -> Result<Dn, Refusal> {
    let refused = || {
        Refusal::new(
            LdapResultCode::InvalidDNSyntax,
            "0000208F: NameErr: DSID-03100233, problem 2006 (BAD_NAME)",
        )
    };
    let inner = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .ok_or_else(refused)?;
    let (kind, value) = inner.split_once('=').ok_or_else(refused)?;
    let found = match kind.to_ascii_uppercase().as_str() {
        "GUID" => {
            let raw = parse_guid(value).ok_or_else(refused)?;
            store
                .entries
                .values()
                .find(|each| each.values("objectGUID").iter().any(|guid| *guid == raw))
        }
        "SID" => store.entries.values().find(|each| {
            each.values("objectSid")
                .iter()
                .any(|sid| print_sid(sid).eq_ignore_ascii_case(value))
        }),
        "WKGUID" => {
            let (guid, head) = value.split_once(',').ok_or_else(refused)?;
            let rdn = WELL_KNOWN
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(guid))
                .map(|(_, rdn)| rdn);
            let name = rdn.and_then(|rdn| Dn::parse(&format!("{rdn},{head}")).ok());
            name.and_then(|name| store.find(&name))
                .and_then(|id| store.entries.get(&id))
        }
        _ => return Err(refused()),
    };
    found
        .map(|each| each.dn.clone())
        .ok_or_else(|| Refusal::absent(Profile::Ad, String::new()))
}

/// Name-valued attributes whose target AD does not look up.
pub(crate) fn is_unlinked(attribute: &str) -> bool {
    ["objectCategory", "lastKnownParent", "distinguishedName"].contains(&attribute)
}

/// Whether an attribute of this class of entries is written by the server alone.
pub(crate) fn is_system_only(attribute: &str) -> bool {
    let names = [
        "objectGUID",
        "objectSid",
        "uSNCreated",
        "uSNChanged",
        "whenCreated",
        "whenChanged",
        "distinguishedName",
        "memberOf",
        "directReports",
        "managedObjects",
        "sAMAccountType",
        "isDeleted",
        "isRecycled",
        "lastKnownParent",
        "instanceType",
        "primaryGroupID",
        "name",
        "parentGUID",
        "isCriticalSystemObject",
    ];
    names
        .iter()
        .any(|each| each.eq_ignore_ascii_case(attribute))
}

/// The name of the NTDS Settings object.
pub(crate) fn service_name(store: &Store) -> String {
    let (server, base) = (store.server, store.render(&store.base));
    format!(
        "CN=NTDS Settings,CN={server},CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,{base}"
    )
}

/// The objects of this domain controller in the configuration: its server and its NTDS Settings.
pub(crate) fn service_objects(store: &Store) -> [Entry; 2] {
    let settings = service_name(store);
    let server = settings.split_once(',').map_or("", |(_, server)| server);
    [
        classes(server, &["top", "server"]),
        classes(&settings, &["top", "applicationSettings", "nTDSDSA"])
            .with("invocationId", store.invocation.to_vec()),
    ]
}

/// What the server gives a new object.
pub(crate) fn stamp_new(store: &mut Store, stored: &mut Stored) {
    complete_classes(stored);
    store.usn += 1;
    let usn = store.usn.to_string();
    let class = category(stored);
    let base = store.render(&store.base);
    let mut default = |name: &str, value: Vec<u8>| {
        if stored.values(name).is_empty() {
            stored.set(name, value);
        }
    };
    default("objectGUID", random_uuid().to_vec());
    default("instanceType", b"4".to_vec());
    default(
        "objectCategory",
        format!("CN={class},CN=Schema,CN=Configuration,{base}").into_bytes(),
    );
    let user = class == "Person" || class == "Computer";
    if (user && stored.has_class("user")) || class == "Group" {
        if stored.values("objectSid").is_empty() {
            store.next_rid += 1;
            stored.set("objectSid", sid(Some(store.next_rid)));
        }
        let kind = match class {
            "Group" => "268435456",
            "Computer" => "805306369",
            _ => "805306368",
        };
        stored.set("sAMAccountType", kind);
        if user && stored.values("primaryGroupID").is_empty() {
            stored.set(
                "primaryGroupID",
                if class == "Computer" { "516" } else { "513" },
            );
        }
    }
    stored.set("uSNCreated", usn.clone());
    stored.set("uSNChanged", usn);
    stored.set("whenCreated", generalized_time(".0"));
    stored.set("whenChanged", generalized_time(".0"));
    store.note(stored);
    store.note_name(stored);
}

/// AD adds the classes that a single given class derives from, and returns all of them, the most derived last.
fn complete_classes(stored: &mut Stored) {
    let chain: &[&str] = match stored.values("objectClass") {
        [class] => match class.to_ascii_lowercase().as_slice() {
            b"user" => &["top", "person", "organizationalPerson", "user"],
            b"contact" => &["top", "person", "organizationalPerson", "contact"],
            b"computer" => &["top", "person", "organizationalPerson", "user", "computer"],
            b"group" => &["top", "group"],
            b"organizationalunit" => &["top", "organizationalUnit"],
            b"container" => &["top", "container"],
            _ => return,
        },
        _ => return,
    };
    if let Some(attribute) = entry::find_mut(&mut stored.attributes, "objectClass") {
        attribute.values = chain
            .iter()
            .map(|class| class.as_bytes().to_vec())
            .collect();
    }
}

fn category(stored: &Stored) -> &'static str {
    [
        ("computer", "Computer"),
        ("user", "Person"),
        ("contact", "Person"),
        ("group", "Group"),
        ("organizationalUnit", "Organizational-Unit"),
        ("domainDNS", "Domain-DNS"),
        ("nTDSDSA", "NTDS-DSA"),
        ("attributeSchema", "Attribute-Schema"),
    ]
    .iter()
    .find(|(class, _)| stored.has_class(class))
    .map_or("Container", |(_, category)| category)
}

/// Makes what a new domain holds.
pub(crate) fn found(store: &mut Store) -> Result<(), Refusal> {
    let base = store.render(&store.base);
    let head = store
        .base
        .0
        .first()
        .and_then(|rdn| rdn.0.first())
        .map(|ava| ava.value.clone())
        .unwrap_or_default();
    let mut domain = classes(&base, &["top", "domain", "domainDNS"])
        .with("dc", head)
        .with("objectSid", sid(None));
    domain.push("instanceType", "5");
    for (guid, rdn) in WELL_KNOWN {
        domain.push(
            "wellKnownObjects",
            format!("B:32:{}:{rdn},{base}", guid.to_ascii_uppercase()),
        );
    }
    let mut entries = vec![domain];
    let container = |name: &str| {
        classes(&format!("{name},{base}"), &["top", "container"])
            .with("isCriticalSystemObject", "TRUE")
    };
    entries.extend(["CN=Users", "CN=Computers", "CN=Builtin", "CN=System"].map(container));
    entries.push(container("CN=Deleted Objects").with("isDeleted", "TRUE"));
    let domain_controllers = format!("OU=Domain Controllers,{base}");
    entries.push(
        classes(&domain_controllers, &["top", "organizationalUnit"])
            .with("isCriticalSystemObject", "TRUE"),
    );
    entries.extend(accounts(&base));
    let configuration = format!("CN=Configuration,{base}");
    entries.push(classes(&configuration, &["top", "configuration"]));
    for name in [
        "CN=Schema",
        "CN=Sites",
        "CN=Default-First-Site-Name,CN=Sites",
        "CN=Servers,CN=Default-First-Site-Name,CN=Sites",
    ] {
        entries.push(classes(
            &format!("{name},{configuration}"),
            &["top", "container"],
        ));
    }
    entries.extend(service_objects(store));
    for each in schema::attribute_types(Profile::Ad) {
        let single = if each.single_valued(Profile::Ad) {
            "TRUE"
        } else {
            "FALSE"
        };
        entries.push(
            classes(
                &format!("CN={},CN=Schema,{configuration}", each.name),
                &["top", "attributeSchema"],
            )
            .with("lDAPDisplayName", each.name.as_str())
            .with("attributeID", each.oid.as_str())
            .with("isSingleValued", single),
        );
    }
    let mut added = Vec::with_capacity(entries.len());
    for entry in &entries {
        added.push(store.add(entry)?);
    }
    for id in added {
        store.settle_references(id, false)?;
    }
    Ok(())
}

fn accounts(base: &str) -> Vec<Entry> {
    let critical = |rdn: &str, classes_of: &[&str], account: &str, rid: u32| {
        let mut entry = classes(&format!("{rdn},{base}"), classes_of);
        entry.push("sAMAccountName", account);
        entry.push("isCriticalSystemObject", "TRUE");
        entry.push(
            "objectSid",
            if (544..1000).contains(&rid) {
                builtin_sid(rid)
            } else {
                sid(Some(rid))
            },
        );
        entry
    };
    let user = ["top", "person", "organizationalPerson", "user"];
    let group = ["top", "group"];
    vec![
        critical("CN=Administrator,CN=Users", &user, "Administrator", 500)
            .with("userAccountControl", "512")
            .with("adminCount", "1")
            .with(
                "description",
                "Built-in account for administering the computer/domain",
            ),
        critical("CN=Guest,CN=Users", &user, "Guest", 501).with("userAccountControl", "66082"),
        critical("CN=krbtgt,CN=Users", &user, "krbtgt", 502)
            .with("userAccountControl", "514")
            .with("adminCount", "1")
            .with("showInAdvancedViewOnly", "TRUE"),
        critical(
            "CN=DC1,OU=Domain Controllers",
            &["top", "person", "organizationalPerson", "user", "computer"],
            "DC1$",
            1000,
        )
        .with("userAccountControl", "532480")
        .with("dNSHostName", "dc1.example.com"),
        critical("CN=Domain Users,CN=Users", &group, "Domain Users", 513)
            .with("groupType", "-2147483646"),
        critical("CN=Domain Admins,CN=Users", &group, "Domain Admins", 512)
            .with("groupType", "-2147483646")
            .with("adminCount", "1")
            .with("member", format!("CN=Administrator,CN=Users,{base}")),
        critical(
            "CN=Administrators,CN=Builtin",
            &group,
            "Administrators",
            544,
        )
        .with("groupType", "-2147483643")
        .with("adminCount", "1")
        .with("member", format!("CN=Administrator,CN=Users,{base}"))
        .with("member", format!("CN=Domain Admins,CN=Users,{base}")),
        critical("CN=Users,CN=Builtin", &group, "Users", 545)
            .with("groupType", "-2147483643")
            .with("member", format!("CN=Domain Users,CN=Users,{base}")),
    ]
}

fn builtin_sid(rid: u32) -> Vec<u8> {
    let mut bytes = vec![1, 2, 0, 0, 0, 0, 0, 5];
    bytes.extend([32, rid].iter().flat_map(|part| part.to_le_bytes()));
    bytes
}

fn classes(name: &str, classes: &[&str]) -> Entry {
    let mut entry = Entry::new(name);
    for class in classes {
        entry.push("objectClass", *class);
    }
    entry
}

/// Whether a name is, or lies below, the container of tombstones.
pub(crate) fn in_deleted_objects(store: &Store, key: &str) -> bool {
    store.profile == Profile::Ad && dn::is_within(key, &store.deleted_objects_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_prints_with_its_first_three_groups_swapped() {
        // reference: measured on Samba AD
        let raw = parse_guid("0b0b04e7f0863444ab9cd49a2093acb4").unwrap();
        assert_eq!(print_guid(&raw), "e7040b0b-86f0-4434-ab9c-d49a2093acb4");
        assert_eq!(
            parse_guid("e7040b0b-86f0-4434-ab9c-d49a2093acb4"),
            Some(raw)
        );
        assert_eq!(parse_guid("e7040b0b-86f0"), None);
    }

    #[test]
    fn a_sid_reads_as_its_parts() {
        assert_eq!(
            print_sid(&sid(Some(513))),
            "S-1-5-21-1004336348-1177238915-682003330-513"
        );
        assert_eq!(print_sid(&builtin_sid(544)), "S-1-5-32-544");
    }
}
