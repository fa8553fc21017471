//! The company as directory entries, in one dialect.
//!
//! Entries come parents first. References alternate between the two escapings of the same DN (`\,` and `\2C`).

use super::place::{OFFICES, Office};
use super::{Company, Contact, Dialect, Group, ObjectId, Person};
use crate::directory::{Attribute, Dn, Entry, Escaping, Rdn, write_entries};

/// What one object becomes: its own attributes, and whom it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) dn: Dn,
    pub(super) entry: Entry,
    pub(super) references: Vec<(&'static str, Vec<ObjectId>)>,
}

/// Whether two naming values are one to a directory.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    Rdn::single("cn", one).key() == Rdn::single("cn", other).key()
}

impl Company {
    /// The naming context, for example `DC=corp,DC=example,DC=com` (slapd: lower case).
    pub fn base_dn(&self) -> String {
        self.base().render(Escaping::Backslash)
    }

    fn base(&self) -> Dn {
        let attribute = if self.dialect == Dialect::OpenLdap {
            "dc"
        } else {
            "DC"
        };
        Dn(self
            .domain
            .split('.')
            .map(|label| Rdn::single(attribute, label))
            .collect())
    }

    /// The DN of an object, written with `\,`; none when there is no such object.
    pub fn dn(&self, id: ObjectId) -> Option<String> {
        self.name_of(id)
            .map(|name| name.render(Escaping::Backslash))
    }

    pub(super) fn name_of(&self, id: ObjectId) -> Option<Dn> {
        let (rdn, parent) = self.place_of(id)?;
        let above = match parent {
            Some(unit) => self.name_of(unit)?,
            None => self.base(),
        };
        Some(above.child(rdn))
    }

    /// The RDN of an object and the unit that holds it.
    pub(super) fn place_of(&self, id: ObjectId) -> Option<(Rdn, Option<ObjectId>)> {
        let open = self.dialect == Dialect::OpenLdap;
        let common = |name: &str| Rdn::single(if open { "cn" } else { "CN" }, name);
        Some(match id {
            ObjectId::Unit(_) => {
                let unit = self.units.get(&id)?;
                (
                    Rdn::single(if open { "ou" } else { "OU" }, &unit.name),
                    unit.parent,
                )
            }
            ObjectId::Person(_) => {
                let person = self.people.get(&id)?;
                let rdn = if open && person.named_by_uid {
                    Rdn::single("uid", &person.login)
                } else {
                    common(&person.common_name)
                };
                (rdn, Some(person.unit))
            }
            ObjectId::Contact(_) => {
                let contact = self.contacts.get(&id)?;
                (common(&contact.display_name), Some(contact.unit))
            }
            ObjectId::Group(_) => {
                let group = self.groups.get(&id)?;
                (common(&group.name), Some(group.unit))
            }
        })
    }

    /// All objects, each after its parent.
    pub fn ids(&self) -> Vec<ObjectId> {
        // A unit is made after its parent, so the order of numbers will do.
        let units = self.units.keys();
        units
            .chain(self.people.keys())
            .chain(self.contacts.keys())
            .chain(self.groups.keys())
            .copied()
            .collect()
    }

    /// All entries. For slapd the naming context comes first; AD and Samba have theirs already.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if self.dialect == Dialect::OpenLdap {
            let label = self.domain.split('.').next().unwrap_or_default();
            let mut entry = with_classes(self.base_dn(), &["organization", "dcObject"]);
            entry.push("dc", label);
            entry.push("o", self.name);
            entries.push(entry);
        }
        for id in self.ids() {
            let Some(mut entry) = self.entry(id) else {
                continue;
            };
            if let (Dialect::ActiveDirectory, Some(guid)) = (self.dialect, self.guid_of(id)) {
                entry.push("objectGUID", guid.to_vec());
            }
            entries.push(entry);
        }
        entries
    }

    /// All entries as LDIF, for offline tools (`slapadd`); over LDAP load `founding`.
    pub fn to_ldif(&self) -> String {
        write_entries(&self.entries())
    }

    /// One object's entry, references included, without an anchor.
    pub(super) fn entry(&self, id: ObjectId) -> Option<Entry> {
        let Rendered {
            mut entry,
            references,
            ..
        } = self.rendered(id)?;
        for (attribute, targets) in references {
            for (number, target) in targets.into_iter().enumerate() {
                let escaping = if number % 2 == 0 {
                    Escaping::Backslash
                } else {
                    Escaping::Hex
                };
                if let Some(name) = self.name_of(target) {
                    entry.push(attribute, name.render(escaping));
                }
            }
        }
        Some(entry)
    }

    /// The objectGUID that `entries` gives an object in the `ActiveDirectory` dialect, as raw bytes.
    pub fn guid_of(&self, id: ObjectId) -> Option<[u8; 16]> {
        match id {
            ObjectId::Unit(_) => None,
            ObjectId::Person(_) => self.people.get(&id).map(|each| each.guid),
            ObjectId::Contact(_) => self.contacts.get(&id).map(|each| each.guid),
            ObjectId::Group(_) => self.groups.get(&id).map(|each| each.guid),
        }
    }

    pub(super) fn rendered(&self, id: ObjectId) -> Option<Rendered> {
        let dn = self.name_of(id)?;
        let written = dn.render(Escaping::Backslash);
        let (entry, references) = match id {
            ObjectId::Unit(_) => {
                let unit = self.units.get(&id)?;
                let top: &[&str] = if self.dialect == Dialect::OpenLdap {
                    &[]
                } else {
                    &["top"]
                };
                let classes = [top, &["organizationalUnit"]].concat();
                (
                    with_classes(written, &classes).with("ou", unit.name.as_str()),
                    Vec::new(),
                )
            }
            ObjectId::Person(_) => {
                let person = self.people.get(&id)?;
                let entry = match self.dialect {
                    Dialect::OpenLdap => self.inet_org_person(written, person),
                    Dialect::ActiveDirectory | Dialect::Samba => self.ad_user(written, person),
                };
                (
                    entry,
                    vec![("manager", person.manager.into_iter().collect())],
                )
            }
            ObjectId::Contact(_) => (self.contact(written, self.contacts.get(&id)?), Vec::new()),
            ObjectId::Group(_) => {
                let group = self.groups.get(&id)?;
                (
                    self.group(written, group),
                    vec![("member", group.members.clone())],
                )
            }
        };
        Some(Rendered {
            dn,
            entry,
            references,
        })
    }

    fn inet_org_person(&self, dn: String, person: &Person) -> Entry {
        let mut entry = with_classes(dn, &["inetOrgPerson"]).with("uid", person.login.as_str());
        common_attributes(&mut entry, person);
        entry.push("departmentNumber", person.department.as_str());
        entry.push("o", self.name);
        if !person.enabled {
            entry.push("businessCategory", "disabled");
        }
        if let Some(office) = OFFICES.get(person.office) {
            entry.push("street", office.street);
        }
        // mail has several values here; the first is the one people use.
        for alias in &person.aliases {
            entry.push("mail", alias.as_str());
        }
        entry
    }

    fn ad_user(&self, dn: String, person: &Person) -> Entry {
        let mut entry = with_classes(dn, &["top", "person", "organizationalPerson", "user"])
            .with("sAMAccountName", person.login.as_str())
            .with("userAccountControl", self.account_control(person.enabled));
        common_attributes(&mut entry, person);
        entry.push("employeeID", person.employee_number.as_str());
        entry.push("department", person.department.as_str());
        entry.push("company", self.name);
        if let Some(Office {
            street,
            country_code,
            country_number,
            country,
            ..
        }) = OFFICES.get(person.office)
        {
            entry.push("streetAddress", *street);
            entry.push("c", *country_code);
            entry.push("countryCode", *country_number);
            entry.push("co", *country);
        }
        if let Some(name) = &person.principal_name {
            entry.push("userPrincipalName", name.as_str());
        }
        if let Some(mail) = &person.mail {
            entry.push("proxyAddresses", format!("SMTP:{mail}"));
        }
        for alias in &person.aliases {
            entry.push("proxyAddresses", format!("smtp:{alias}"));
        }
        let extension = match self.dialect {
            Dialect::ActiveDirectory => "extensionAttribute1",
            Dialect::OpenLdap | Dialect::Samba => "msDS-cloudExtensionAttribute1",
        };
        entry.push(
            extension,
            format!(
                "cost centre {} & \"{}\"",
                person.unit.number() % 9,
                person.employee_type
            ),
        );
        entry
    }

    /// Samba refuses to enable an account that has no password, unless it needs none (0x20).
    fn account_control(&self, enabled: bool) -> &'static str {
        match (self.dialect, enabled) {
            (Dialect::Samba, true) => "544",
            (_, true) => "512",
            (_, false) => "514",
        }
    }

    fn contact(&self, dn: String, contact: &Contact) -> Entry {
        let classes: &[&str] = match self.dialect {
            Dialect::OpenLdap => &["inetOrgPerson"],
            Dialect::ActiveDirectory | Dialect::Samba => {
                &["top", "person", "organizationalPerson", "contact"]
            }
        };
        let mut entry = with_classes(dn, classes)
            .with("cn", contact.display_name.as_str())
            .with("sn", contact.surname.as_str())
            .with("displayName", contact.display_name.as_str())
            .with("mail", contact.mail.as_str());
        if self.dialect == Dialect::ActiveDirectory {
            entry.push("targetAddress", format!("SMTP:{}", contact.mail));
        }
        entry
    }

    fn group(&self, dn: String, group: &Group) -> Entry {
        if self.dialect == Dialect::OpenLdap {
            let kind = if group.security {
                "security"
            } else {
                "distribution"
            };
            return with_classes(dn, &["groupOfNames"])
                .with("cn", group.name.as_str())
                .with("description", group.description.as_str())
                .with("businessCategory", kind);
        }
        let mut entry = with_classes(dn, &["top", "group"])
            .with("cn", group.name.as_str())
            .with("displayName", group.name.as_str())
            .with("description", group.description.as_str())
            .with("sAMAccountName", group.login.as_str())
            // global security group, universal distribution group
            .with(
                "groupType",
                if group.security { "-2147483646" } else { "8" },
            );
        if let Some(mail) = &group.mail {
            entry.push("mail", mail.as_str());
            entry.push("proxyAddresses", format!("SMTP:{mail}"));
        }
        entry
    }
}

impl ObjectId {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Unit(number)
            | Self::Person(number)
            | Self::Contact(number)
            | Self::Group(number) => number,
        }
    }
}

fn with_classes(dn: String, classes: &[&str]) -> Entry {
    Entry {
        dn,
        attributes: vec![Attribute::new("objectClass", classes.iter().copied())],
    }
}

fn common_attributes(entry: &mut Entry, person: &Person) {
    let mut all: Vec<(&str, &str)> = vec![
        ("cn", &person.common_name),
        ("sn", &person.surname),
        ("givenName", &person.given_name),
        ("displayName", &person.display_name),
        ("title", &person.title),
        ("telephoneNumber", &person.telephone),
        ("employeeNumber", &person.employee_number),
        ("employeeType", &person.employee_type),
        ("preferredLanguage", &person.language),
    ];
    if let Some(Office {
        name,
        city,
        state,
        postal_code,
        ..
    }) = OFFICES.get(person.office)
    {
        all.extend([
            ("physicalDeliveryOfficeName", *name),
            ("l", *city),
            ("st", *state),
            ("postalCode", *postal_code),
        ]);
    }
    let optional = [
        ("mobile", &person.mobile),
        ("description", &person.description),
        ("mail", &person.mail),
    ];
    all.extend(
        optional
            .iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (*name, value))),
    );
    for (name, value) in all {
        entry.push(name, value);
    }
}
