//! Which entries have a join value in common, directly or by way of others. Hashes find them, the values themselves decide.

use std::collections::HashSet;

use super::Metaverse;
use crate::{
    configuration::Joins, entry::Entry, filter::comparable, sid::of_a_domain, space::Spaces,
};

/// The rule and the value by which an entry is joined to others.
pub(super) type JoinValue = (usize, Vec<u8>);

pub(super) fn connector_name(spaces: &Spaces, slot: u32) -> &str {
    let connector = spaces.connector_of(slot);
    let space = connector.and_then(|number| spaces.connector(number));
    space.map_or("", |space| &space.name)
}

pub(super) fn rank(joins: &Joins, spaces: &Spaces, slot: u32) -> Option<(usize, u32)> {
    Some((joins.rank(connector_name(spaces, slot))?, slot))
}

/// The values by which an entry is joined to others.
pub(super) fn join_values(joins: &Joins, connector: &str, entry: &Entry) -> Vec<JoinValue> {
    let rules = joins.rules.iter().enumerate();
    let mut values = Vec::new();
    for (at, rule) in rules {
        let Some(attribute) = rule.attributes.get(connector) else {
            continue;
        };
        for value in entry.attributes.get(attribute) {
            let means_somebody = !SIDS.contains(&attribute.as_str()) || of_a_domain(value);
            let value = comparable(attribute, value).filter(|value| !value.is_empty());
            values.extend(value.filter(|_| means_somebody).map(|value| (at, value)));
        }
    }
    values
}

/// Attributes with the SID of an account.
const SIDS: [&str; 2] = ["objectsid", "msexchmasteraccountsid"];

/// An entry and all that have a value in common with it, directly or by way of others.
pub(super) fn component(
    metaverse: &Metaverse,
    joins: &Joins,
    spaces: &Spaces,
    first: u32,
) -> Vec<u32> {
    let values = |slot: u32| {
        let entry = spaces.entry(slot);
        entry.map_or(Vec::new(), |entry| {
            join_values(joins, connector_name(spaces, slot), &entry)
        })
    };
    let (mut found, mut queue) = (vec![first], vec![first]);
    let mut known = HashSet::from([first]);
    while let Some(slot) = queue.pop() {
        let alike = metaverse.rings.alike(slot);
        if alike.is_empty() {
            continue;
        }
        let own = values(slot);
        for other in alike {
            let joined =
                !known.contains(&other) && values(other).iter().any(|value| own.contains(value));
            if joined {
                known.insert(other);
                found.push(other);
                queue.push(other);
            }
        }
    }
    found.sort_unstable();
    found
}

/// Those out of scope that are the only entry of their connector.
pub(super) fn only_of_their_connector(
    spaces: &Spaces,
    active: &[u32],
    dormant: &[u32],
) -> Vec<u32> {
    let connector = |slot: &u32| spaces.connector_of(*slot);
    let alone = |slot: &&u32| {
        let own = connector(slot);
        let all = active.iter().chain(dormant);
        all.filter(|other| connector(other) == own).count() == 1
    };
    dormant.iter().filter(alone).copied().collect()
}
