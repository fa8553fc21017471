//! The difference between what an object should look like and what the target holds, in the target's terms.
//!
//! Only mapped attributes are compared. Never sent: what the target cannot write or clear, and a value that the target rewrote
//! before while neither side has changed since. Attributes that the target forgets when left out are sent together.

use std::collections::BTreeMap;

use crate::{
    entry::Class,
    fault::{Fault, planted},
    memory::Rewritten,
    target::{Capabilities, Changes, Values},
    target_view::{AllKept, Kept, normal, same},
};

/// The changes that take `held` to `desired`.
pub(crate) fn difference(
    class: Class,
    desired: &Changes,
    held: &AllKept,
    capabilities: &Capabilities,
    rewritten: Option<&BTreeMap<String, Rewritten>>,
) -> Changes {
    let mut changes = Changes::new();
    for (name, want) in desired {
        let Some(rule) = capabilities.rule(class, name) else {
            continue;
        };
        let (want, held) = (normal(want.clone()), held.get(name));
        if same(want.as_ref(), held) {
            continue;
        }
        if want.is_none() && !rule.clearable {
            continue;
        }
        let known = rewritten.and_then(|rewritten| rewritten.get(name));
        let same = |known: &Rewritten| *known == Rewritten::new(want.as_ref(), held);
        if known.is_some_and(same) && !planted(Fault::RewrittenIsResent) {
            continue;
        }
        changes.insert(name.clone(), want);
    }
    if planted(Fault::UnmappedIsCompared) {
        let unmapped = held.keys().filter(|name| !desired.contains_key(*name));
        changes.extend(unmapped.map(|name| (name.clone(), None)));
    }
    complete(class, &mut changes, held, capabilities);
    changes
}

/// The values that a new object gets.
pub(crate) fn first_values(class: Class, desired: &Changes, capabilities: &Capabilities) -> Values {
    desired
        .iter()
        .filter(|(name, _)| capabilities.rule(class, name).is_some())
        .filter_map(|(name, want)| Some((name.clone(), normal(want.clone())?)))
        .collect()
}

/// Adds what must go with a change: the target's own values, so that nothing else changes.
fn complete(class: Class, changes: &mut Changes, held: &AllKept, capabilities: &Capabilities) {
    let words: Vec<&str> = changes
        .keys()
        .filter_map(|name| capabilities.rule(class, name)?.together)
        .collect();
    let companions = (capabilities.attributes.iter()).filter(|rule| {
        rule.class == class && rule.together.is_some_and(|word| words.contains(&word))
    });
    for rule in companions {
        if let Some(value) = held.get(rule.name).and_then(Kept::value)
            && !changes.contains_key(rule.name)
        {
            changes.insert(rule.name.to_owned(), Some(value.clone()));
        }
    }
}
