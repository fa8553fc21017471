//! Turns `spec.joins` into the engine's rules, and says what the schema cannot see: connectors that no scope reads, attributes that
//! cannot be compared, attributes that the tenant does not have.

use std::collections::{BTreeMap, BTreeSet};

use plumbline_crds::JoinRule as Written;
use plumbline_engine::{
    configuration::{JoinRule, Joins, Scope},
    entry::Class,
    reason::Reason,
    target::Capabilities,
};

use crate::problem::Problem;

/// Attributes of DNs: they mean something in their own directory only.
const LINKS: [&str; 3] = ["manager", "member", "uniquemember"];
/// The name under which the order for a person's manager is given.
const MANAGER: &str = "manager";

/// The joins of a sync with these scopes.
pub(super) fn validate(
    joins: &plumbline_crds::Joins,
    scopes: &[Scope],
    capabilities: &Capabilities,
) -> Result<Joins, Problem> {
    let with_users = scopes
        .iter()
        .filter(|scope| scope.classes.contains(&Class::User));
    let read: BTreeSet<&str> = with_users.map(|scope| scope.connector.as_str()).collect();
    for (at, connector) in joins.precedence.iter().enumerate() {
        if !read.contains(connector.as_str()) {
            return Err(wrong(format!(
                "`spec.joins.precedence[{at}]`: no scope of this DirectorySync takes users of DirectoryConnector `{connector}`; add one to `spec.scopes`, or leave it out"
            )));
        }
    }
    for attribute in joins.attribute_precedence.keys() {
        if attribute != MANAGER && capabilities.rule(Class::User, attribute).is_none() {
            return Err(wrong(format!(
                "`spec.joins.attributePrecedence`: the tenant has no attribute `{attribute}` of users that can be written; `plumbline mappings` lists those that are"
            )));
        }
    }
    let rules = joins.rules.iter().enumerate();
    let rules = rules.map(|(at, written)| rule(at, written, &joins.precedence));
    Ok(Joins {
        rules: rules.collect::<Result<_, _>>()?,
        precedence: joins.precedence.clone(),
        first: joins.attribute_precedence.clone(),
    })
}

fn rule(at: usize, written: &Written, connectors: &[String]) -> Result<JoinRule, Problem> {
    let mut attributes = BTreeMap::new();
    if let Some(attribute) = &written.attribute {
        let same = connectors
            .iter()
            .map(|name| (name.clone(), attribute.to_ascii_lowercase()));
        attributes.extend(same);
    }
    if let Some(linked) = &written.linked_account {
        attributes.insert(linked.account.clone(), "objectsid".to_owned());
        attributes.insert(linked.resource.clone(), "msexchmasteraccountsid".to_owned());
    }
    for chosen in &written.attributes {
        attributes.insert(
            chosen.connector.clone(),
            chosen.attribute.to_ascii_lowercase(),
        );
    }
    let link = attributes
        .values()
        .find(|name| LINKS.contains(&name.as_str()));
    if let Some(link) = link {
        return Err(wrong(format!(
            "`spec.joins.rules[{at}]`: `{link}` holds DNs, which mean something in their own directory only; choose an attribute with a value that both directories have"
        )));
    }
    Ok(JoinRule { attributes })
}

fn wrong(message: String) -> Problem {
    Problem::new(Reason::InvalidSpec, message)
}
