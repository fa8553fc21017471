//! The values of one object to which several entries contribute, each by the mapping of its own scope.
//!
//! Attribute by attribute the entries are asked in their order: the first value or `keep()` decides, an empty value asks the next. If
//! nobody has one, the attribute is cleared. Who is asked later need not be in order: what nobody looks at cannot be wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Mapping, MappingFault, Rule, Said};
use crate::{entry::Entry, target::Changes};

/// One of the entries.
#[derive(Debug)]
pub(crate) struct Contribution<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) entry: &'a Entry,
    /// The connector that has read it.
    pub(crate) connector: &'a str,
}

/// What the object should look like as of a time. `rank` gives the place of a connector for an attribute of the target: the lowest is asked first.
/// The error names the entry at fault, by its position.
pub(crate) fn together<R: Ord>(
    contributions: &[Contribution<'_>],
    now: Timestamp,
    rank: impl Fn(&str, &str) -> R,
) -> Result<Changes, (usize, MappingFault)> {
    let mut rules: BTreeMap<(bool, &str), Vec<(usize, &Rule)>> = BTreeMap::new();
    for (at, contribution) in contributions.iter().enumerate() {
        // As in each mapping, the sign-in name comes first.
        let first = contribution.mapping.rules.first();
        let sign_in_name = first.map_or("", |rule| rule.target.name);
        for rule in &contribution.mapping.rules {
            let key = (rule.target.name != sign_in_name, rule.target.name);
            rules.entry(key).or_default().push((at, rule));
        }
    }
    let mut changes = Changes::new();
    for ((_, name), mut asked) in rules {
        asked.sort_by_key(|(at, _)| contributions.get(*at).map(|one| rank(name, one.connector)));
        let mut said = Said::Nothing;
        for (at, rule) in &asked {
            let Some(one) = contributions.get(*at) else {
                continue;
            };
            said = rule.say(one.entry, now).map_err(|fault| (*at, fault))?;
            if !matches!(said, Said::Nothing) {
                break;
            }
        }
        match (said, asked.first()) {
            (Said::Value(value), _) => drop(changes.insert(name.to_owned(), Some(value))),
            (Said::Nothing, Some((at, rule))) if rule.clears().map_err(|fault| (*at, fault))? => {
                changes.insert(name.to_owned(), None);
            }
            (Said::Nothing | Said::Keep, _) => {}
        }
    }
    Ok(changes)
}
