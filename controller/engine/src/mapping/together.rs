//! The values of one object to which several entries contribute, each by the mapping of its own scope.
//!
//! Attribute by attribute the entries are asked in their order: the first value or `keep()` decides, an empty value asks the next. If
//! nobody has one, the attribute is cleared. Who is asked later need not be in order: what nobody looks at cannot be wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Mapped, Mapping, MappingFault, Origin, Rule};
use crate::{entry::Entry, expression::Expression, target::Changes};

/// One of the entries.
#[derive(Debug)]
pub(crate) struct Contribution<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) entry: &'a Entry,
    /// The connector that has read it.
    pub(crate) connector: &'a str,
}

/// One attribute of an object, with where it comes from.
#[derive(Debug)]
pub(crate) struct Traced<'a> {
    pub(crate) target: &'static str,
    pub(crate) mapped: Result<Mapped, MappingFault>,
    /// The entry that decided, by its position; if none has a value, the one that was asked first.
    pub(crate) by: usize,
    /// Of the mapping of that entry.
    pub(crate) expression: &'a Expression,
    pub(crate) origin: Origin,
}

/// What the object should look like as of a time. `rank` gives the place of a connector for an attribute of the target: the lowest is asked first.
/// The error names the entry at fault, by its position.
pub(crate) fn together<R: Ord>(
    contributions: &[Contribution<'_>],
    now: Timestamp,
    rank: impl Fn(&str, &str) -> R,
) -> Result<Changes, (usize, MappingFault)> {
    let mut changes = Changes::new();
    for traced in traced(contributions, now, rank) {
        let mapped = traced.mapped.map_err(|fault| (traced.by, fault))?;
        mapped.change(traced.target, &mut changes);
    }
    Ok(changes)
}

/// What [`together`] makes of each attribute, also where one of them has a fault.
pub(crate) fn trace<'a, R: Ord>(
    contributions: &[Contribution<'a>],
    now: Timestamp,
    rank: impl Fn(&str, &str) -> R,
) -> Vec<Traced<'a>> {
    traced(contributions, now, rank).collect()
}

fn traced<'a, R: Ord>(
    contributions: &[Contribution<'a>],
    now: Timestamp,
    rank: impl Fn(&str, &str) -> R,
) -> impl Iterator<Item = Traced<'a>> {
    let mut rules: BTreeMap<(bool, &str), Vec<(usize, &'a Rule)>> = BTreeMap::new();
    for (at, contribution) in contributions.iter().enumerate() {
        // As in each mapping, the sign-in name comes first.
        let first = contribution.mapping.rules.first();
        let sign_in_name = first.map_or("", |rule| rule.target.name);
        for rule in &contribution.mapping.rules {
            let key = (rule.target.name != sign_in_name, rule.target.name);
            rules.entry(key).or_default().push((at, rule));
        }
    }
    rules.into_iter().filter_map(move |((_, name), mut asked)| {
        asked.sort_by_key(|(at, _)| contributions.get(*at).map(|one| rank(name, one.connector)));
        let decided = asked.iter().find_map(|(at, rule)| {
            let given = rule.give(contributions.get(*at)?.entry, now);
            Some((*at, *rule, given.transpose()?))
        });
        let first = asked.first().copied();
        let (by, rule, mapped) =
            decided.or_else(|| first.map(|(at, rule)| (at, rule, rule.without())))?;
        Some(Traced {
            target: rule.target.name,
            mapped,
            by,
            expression: &rule.expression,
            origin: rule.origin,
        })
    })
}
