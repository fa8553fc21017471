//! What a reader gets of an object: the default properties, or exactly the selected ones.
//!
//! Directory extension values come only when selected and set. Passwords never come.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::graph::not_served;
use super::query::Query;
use super::state::State;
use super::store::{Kind, Version};

const USER_DEFAULT: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

const GROUP_DEFAULT: [&str; 20] = [
    "id",
    "deletedDateTime",
    "classification",
    "createdDateTime",
    "description",
    "displayName",
    "groupTypes",
    "isAssignableToRole",
    "mail",
    "mailEnabled",
    "mailNickname",
    "membershipRule",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled",
    "proxyAddresses",
    "securityEnabled",
    "securityIdentifier",
    "uniqueName",
    "visibility",
];

/// The selection of a query, refused when it names a property that the type does not have.
pub(super) fn selection(
    state: &mut State,
    query: &Query,
    target: &str,
    kinds: &[Kind],
) -> Result<Option<Vec<String>>, Answer> {
    let Some(names) = query.select() else {
        return Ok(None);
    };
    for name in &names {
        let known = kinds.iter().any(|kind| {
            state
                .specification
                .has_property(&kind.resource().to_lowercase(), name)
        });
        if !known {
            return Err(not_served(
                state,
                "GET",
                target,
                &format!("property {name} in $select"),
            ));
        }
    }
    Ok(Some(names))
}

pub(super) fn render(
    kind: Kind,
    id: &str,
    version: &Version,
    select: Option<&[String]>,
) -> Map<String, Value> {
    let defaults: &[&str] = match kind {
        Kind::User => &USER_DEFAULT,
        Kind::Group => &GROUP_DEFAULT,
    };
    match select {
        None => defaults
            .iter()
            .map(|name| ((*name).to_owned(), property(kind, id, version, name)))
            .collect(),
        Some(names) => {
            let shown = |name: &&String| {
                !name.starts_with("extension_") || version.properties.contains_key(name.as_str())
            };
            names
                .iter()
                .filter(shown)
                .map(|name| (name.clone(), property(kind, id, version, name)))
                .collect()
        }
    }
}

fn property(kind: Kind, id: &str, version: &Version, name: &str) -> Value {
    let stored = || version.properties.get(name).cloned();
    match name {
        "id" => Value::from(id),
        "passwordProfile" => Value::Null,
        "businessPhones" | "otherMails" | "proxyAddresses" | "imAddresses" | "groupTypes"
        | "assignedLicenses" => stored().unwrap_or_else(|| json!([])),
        "onPremisesExtensionAttributes" if kind == Kind::User => {
            let set = stored().unwrap_or_default();
            let all = (1..=15).map(|number| {
                let name = format!("extensionAttribute{number}");
                let value = set.get(&name).cloned().unwrap_or_default();
                (name, value)
            });
            Value::Object(all.collect())
        }
        "employeeOrgData" => match stored() {
            Some(set) => {
                json!({"division": set.get("division"), "costCenter": set.get("costCenter")})
            }
            None => Value::Null,
        },
        _ => stored().unwrap_or(Value::Null),
    }
}
