//! A believable company, the same for the same seed: people, organisational units, groups and contacts.
//!
//! Names are of many scripts; values and DNs carry every character that some layer must escape. The model is rendered
//! as entries for one dialect, and each operation on it returns the LDIF changes that bring a server along.
//! Values stay within the lengths that Microsoft Graph accepts. The model knows nothing of a tenant.

mod change;
mod generate;
mod name;
mod place;
mod render;

use std::collections::BTreeMap;

use rand::rngs::StdRng;

pub use change::CompanyError;

/// The kind of server that the company's entries are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// inetOrgPerson, groupOfNames, organizationalUnit; anchors are left to the server.
    OpenLdap,
    /// What Windows holds with Exchange's schema; objectGUID is given in `entries`, left to the server in changes.
    ActiveDirectory,
    /// What a Samba 4.17 domain controller takes over LDAP: no Exchange attributes, no anchors, no passwords.
    Samba,
}

/// Names an object of the company for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    Unit(u32),
    Person(u32),
    Contact(u32),
    Group(u32),
}

/// An organisational unit.
#[derive(Debug, Clone)]
pub struct Unit {
    pub name: String,
    /// None for a unit at the top.
    pub parent: Option<ObjectId>,
    pub department: String,
    titles: &'static [&'static str],
}

/// Someone who works here, or a service account.
#[derive(Debug, Clone)]
pub struct Person {
    pub given_name: String,
    pub surname: String,
    pub display_name: String,
    /// Unique in the company.
    pub common_name: String,
    /// `uid` and `sAMAccountName`: ASCII, at most 20 characters, unique.
    pub login: String,
    pub title: String,
    pub department: String,
    pub telephone: String,
    pub mobile: Option<String>,
    pub employee_number: String,
    pub employee_type: String,
    pub language: String,
    pub description: Option<String>,
    pub mail: Option<String>,
    /// Further addresses at the same domain.
    pub aliases: Vec<String>,
    pub principal_name: Option<String>,
    pub manager: Option<ObjectId>,
    pub unit: ObjectId,
    pub enabled: bool,
    office: usize,
    /// On slapd; where people are named by uid, special characters in names by cn still occur.
    named_by_uid: bool,
    guid: [u8; 16],
}

/// Someone at another company.
#[derive(Debug, Clone)]
pub struct Contact {
    pub display_name: String,
    pub surname: String,
    pub mail: String,
    pub unit: ObjectId,
    guid: [u8; 16],
}

/// A security group or a distribution list.
#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    /// `sAMAccountName`: ASCII, unique.
    pub login: String,
    pub description: String,
    pub security: bool,
    pub mail: Option<String>,
    /// People, groups and contacts; never empty.
    pub members: Vec<ObjectId>,
    pub unit: ObjectId,
    guid: [u8; 16],
}

/// The company.
#[derive(Debug, Clone)]
pub struct Company {
    dialect: Dialect,
    domain: String,
    name: &'static str,
    random: StdRng,
    next: u32,
    units: BTreeMap<ObjectId, Unit>,
    people: BTreeMap<ObjectId, Person>,
    contacts: BTreeMap<ObjectId, Contact>,
    groups: BTreeMap<ObjectId, Group>,
    logins: BTreeMap<String, u32>,
}

impl Company {
    /// The DNS name, which is also the mail domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn units(&self) -> &BTreeMap<ObjectId, Unit> {
        &self.units
    }

    pub fn people(&self) -> &BTreeMap<ObjectId, Person> {
        &self.people
    }

    pub fn contacts(&self) -> &BTreeMap<ObjectId, Contact> {
        &self.contacts
    }

    pub fn groups(&self) -> &BTreeMap<ObjectId, Group> {
        &self.groups
    }

    /// The first unit of this name.
    pub fn unit_named(&self, name: &str) -> Option<ObjectId> {
        self.units
            .iter()
            .find(|(_, unit)| unit.name == name)
            .map(|(id, _)| *id)
    }

    /// The group of this name.
    pub fn group_named(&self, name: &str) -> Option<ObjectId> {
        self.groups
            .iter()
            .find(|(_, group)| group.name == name)
            .map(|(id, _)| *id)
    }

    /// The person with this login.
    pub fn person_with_login(&self, login: &str) -> Option<ObjectId> {
        self.people
            .iter()
            .find(|(_, person)| person.login == login)
            .map(|(id, _)| *id)
    }
}
