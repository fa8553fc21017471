//! What a tenant must hold for a company, worked out from the company's model and its entries as the directory was given them:
//! an account of the mappings in `docs/reference/mappings.md` that shares no code with them.

use std::collections::{BTreeMap, BTreeSet};

use plumbline_lab::company::{Company, Dialect, ObjectId};
use plumbline_lab::directory::Entry;
use plumbline_lab::tenant::LabTenant;
use serde_json::{Map, Value, json};

/// Users by name at sign-in and groups by name, with `manager` and `members` as such names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) users: BTreeMap<String, Map<String, Value>>,
    pub(crate) groups: BTreeMap<String, Map<String, Value>>,
}

const OPENLDAP: &[(&str, &str)] = &[
    ("city", "l"),
    ("companyName", "o"),
    ("department", "departmentNumber"),
    ("displayName", "displayName"),
    ("employeeId", "employeeNumber"),
    ("employeeType", "employeeType"),
    ("givenName", "givenName"),
    ("jobTitle", "title"),
    ("mobilePhone", "mobile"),
    ("officeLocation", "physicalDeliveryOfficeName"),
    ("postalCode", "postalCode"),
    ("preferredLanguage", "preferredLanguage"),
    ("state", "st"),
    ("streetAddress", "street"),
    ("surname", "sn"),
];

/// The example for Active Directory omits `mobilePhone`.
const ACTIVE_DIRECTORY: &[(&str, &str)] = &[
    ("city", "l"),
    ("companyName", "company"),
    ("country", "co"),
    ("department", "department"),
    ("displayName", "displayName"),
    ("employeeId", "employeeID"),
    ("employeeType", "employeeType"),
    ("givenName", "givenName"),
    ("jobTitle", "title"),
    ("mail", "mail"),
    ("officeLocation", "physicalDeliveryOfficeName"),
    ("postalCode", "postalCode"),
    ("preferredLanguage", "preferredLanguage"),
    ("state", "st"),
    ("streetAddress", "streetAddress"),
    ("surname", "sn"),
    ("usageLocation", "c"),
];

/// The units that the examples name, which stay the same when they are renamed.
pub(crate) struct Units {
    included: [ObjectId; 2],
    excluded: ObjectId,
}

impl Units {
    pub(crate) fn of(company: &Company) -> Self {
        Self::named(company, "Groups")
    }

    /// With another unit for groups.
    pub(crate) fn named(company: &Company, groups: &str) -> Self {
        let unit = |name| company.unit_named(name).unwrap();
        Self {
            included: [unit("Staff"), unit(groups)],
            excluded: unit("Service Accounts"),
        }
    }
}

/// What the example of this dialect makes of the company.
pub(crate) fn of_company(company: &Company, scope: &Units, dialect: Dialect) -> Content {
    let entries: BTreeMap<String, Entry> = company
        .entries()
        .into_iter()
        .map(|entry| (entry.dn.clone(), entry))
        .collect();
    let entry = |id: ObjectId| company.dn(id).and_then(|dn| entries.get(&dn)).unwrap();
    let in_scope = |unit: ObjectId| {
        let above = above(company, unit);
        let excluded = above.contains(&scope.excluded);
        scope.included.iter().any(|unit| above.contains(unit)) && !excluded
    };
    let mut names: BTreeMap<ObjectId, String> = BTreeMap::new();
    for (id, person) in company.people() {
        let name = match dialect {
            Dialect::OpenLdap => mails(entry(*id)).first().cloned(),
            _ => person.principal_name.clone(),
        };
        if let (Some(name), true) = (name, in_scope(person.unit)) {
            names.insert(*id, name);
        }
    }
    for (id, group) in company.groups() {
        if in_scope(group.unit) && (group.security || dialect == Dialect::OpenLdap) {
            names.insert(*id, group.name.clone());
        }
    }
    let mut content = Content::default();
    for (id, person) in company.people() {
        let Some(name) = names.get(id) else { continue };
        let mut user = user(entry(*id), name, dialect);
        let enabled = dialect == Dialect::OpenLdap || person.enabled;
        user.insert("accountEnabled".into(), json!(enabled));
        if let Some(manager) = person.manager.and_then(|manager| names.get(&manager)) {
            user.insert("manager".into(), json!(manager));
        }
        content.users.insert(name.clone(), user);
    }
    for (id, group) in company.groups() {
        let Some(name) = names.get(id) else { continue };
        let members: BTreeSet<&String> = group
            .members
            .iter()
            .filter_map(|member| names.get(member))
            .collect();
        let fields = json!({
            "displayName": name, "description": group.description, "members": members,
            "securityEnabled": true, "mailEnabled": false,
        });
        let before = content
            .groups
            .insert(name.clone(), fields.as_object().unwrap().clone());
        assert!(before.is_none(), "two groups are called {name}");
    }
    content
}

/// A unit and those above it.
fn above(company: &Company, unit: ObjectId) -> Vec<ObjectId> {
    let parent = |unit: &ObjectId| company.units().get(unit)?.parent;
    std::iter::successors(Some(unit), parent).collect()
}

fn mails(entry: &Entry) -> Vec<String> {
    let mut mails: Vec<String> = texts(entry, "mail");
    mails.sort();
    mails
}

fn texts(entry: &Entry, attribute: &str) -> Vec<String> {
    let values = entry.values(attribute).iter();
    values
        .map(|value| String::from_utf8(value.clone()).unwrap())
        .collect()
}

fn user(entry: &Entry, name: &str, dialect: Dialect) -> Map<String, Value> {
    let table = if dialect == Dialect::OpenLdap {
        OPENLDAP
    } else {
        ACTIVE_DIRECTORY
    };
    let mut user = Map::new();
    for (property, attribute) in table {
        if let Some(value) = texts(entry, attribute).into_iter().min() {
            user.insert((*property).into(), json!(value));
        }
    }
    user.insert("userPrincipalName".into(), json!(name));
    let phones = texts(entry, "telephoneNumber");
    user.insert("businessPhones".into(), json!(phones));
    let mut other = Vec::new();
    if dialect == Dialect::OpenLdap {
        user.insert("mail".into(), json!(name));
        other = mails(entry).into_iter().skip(1).collect();
    }
    user.insert("otherMails".into(), json!(other));
    user
}

/// What the tenant holds, in the same form and without what the directory says nothing about.
pub(crate) fn of_tenant(tenant: &LabTenant) -> Content {
    let (users, groups) = (tenant.users(), tenant.groups());
    let text = |object: &Value, name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    names.extend(
        users
            .iter()
            .map(|user| (text(user, "id"), text(user, "userPrincipalName"))),
    );
    names.extend(
        groups
            .iter()
            .map(|group| (text(group, "id"), text(group, "displayName"))),
    );
    let name = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        names.get(id).cloned().unwrap_or_else(|| id.to_owned())
    };
    let mut content = Content::default();
    for user in &users {
        let mut fields = user.as_object().unwrap().clone();
        fields.retain(|field, value| {
            let compared = OPENLDAP
                .iter()
                .chain(ACTIVE_DIRECTORY)
                .any(|(property, _)| property == field);
            let other = [
                "userPrincipalName",
                "businessPhones",
                "otherMails",
                "accountEnabled",
                "manager",
            ];
            !value.is_null() && (compared || other.contains(&field.as_str()))
        });
        for list in ["businessPhones", "otherMails"] {
            fields.entry(list).or_insert_with(|| json!([]));
        }
        if let Some(manager) = fields.get_mut("manager") {
            *manager = json!(name(manager));
        }
        insert(&mut content.users, text(user, "userPrincipalName"), fields);
    }
    for group in &groups {
        let members: BTreeSet<String> = group["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect();
        let fields = json!({
            "displayName": group["displayName"], "description": group["description"], "members": members,
            "securityEnabled": group["securityEnabled"], "mailEnabled": group["mailEnabled"],
        });
        insert(
            &mut content.groups,
            text(group, "displayName"),
            fields.as_object().unwrap().clone(),
        );
    }
    content
}

/// Two objects of one name are a duplicate, which must not go unseen.
fn insert(
    into: &mut BTreeMap<String, Map<String, Value>>,
    name: String,
    fields: Map<String, Value>,
) {
    let name = if into.contains_key(&name) {
        format!("{name} (again)")
    } else {
        name
    };
    into.insert(name, fields);
}

/// The first differences, for a failure that can be read.
pub(crate) fn compare(expected: &Content, found: &Content) -> Result<(), String> {
    let mut differences = Vec::new();
    for (what, expected, found) in [
        ("user", &expected.users, &found.users),
        ("group", &expected.groups, &found.groups),
    ] {
        for name in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            match (expected.get(name), found.get(name)) {
                (Some(_), None) => differences.push(format!("{what} {name} is missing")),
                (None, Some(_)) => differences.push(format!("{what} {name} should not be there")),
                (Some(expected), Some(found)) => {
                    for field in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
                        let (should, is) = (expected.get(field), found.get(field));
                        if should != is {
                            differences.push(format!(
                                "{what} {name}: {field} should be {should:?} and is {is:?}"
                            ));
                        }
                    }
                }
                (None, None) => {}
            }
        }
    }
    let count = differences.len();
    differences.truncate(12);
    if count == 0 {
        Ok(())
    } else {
        Err(format!("{count} differences: {}", differences.join("\n")))
    }
}
