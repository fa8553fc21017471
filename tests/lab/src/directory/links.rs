//! References between entries, both ways: what `memberOf`, `directReports` and the in-chain rule are computed from.

use std::collections::{HashMap, HashSet};

use super::dn::Dn;
use super::store::Store;

/// Forward attributes and, where AD has one, the backward attribute.
pub(crate) const LINKED: [(&str, &str); 3] = [
    ("member", "memberOf"),
    ("manager", "directReports"),
    ("managedBy", "managedObjects"),
];

/// The graph of linked values at one moment.
#[derive(Debug, Default)]
pub(crate) struct Links {
    forward: HashMap<&'static str, HashMap<u64, Vec<u64>>>,
}

impl Links {
    pub(crate) fn of(store: &Store) -> Self {
        let mut links = Self::default();
        for (&id, stored) in &store.entries {
            for (forward, backward) in LINKED {
                for value in stored.values(forward) {
                    let name = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| Dn::parse(text).ok());
                    if let Some(target) = name.and_then(|name| store.find(&name)) {
                        links
                            .forward
                            .entry(forward)
                            .or_default()
                            .entry(id)
                            .or_default()
                            .push(target);
                        links
                            .forward
                            .entry(backward)
                            .or_default()
                            .entry(target)
                            .or_default()
                            .push(id);
                    }
                }
            }
        }
        links
    }

    /// The entries that `attribute` of this entry leads to; `memberOf` and the like lead backward.
    pub(crate) fn targets(&self, attribute: &str, id: u64) -> &[u64] {
        self.forward
            .get(attribute)
            .and_then(|all| all.get(&id))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether a backward attribute of this name is computed from links.
    pub(crate) fn is_backward(attribute: &str) -> bool {
        LINKED.iter().any(|(_, backward)| *backward == attribute)
    }

    /// Whether following `attribute` one or more times leads from one entry to the other; cycles end.
    pub(crate) fn reaches(&self, attribute: &str, from: u64, to: u64) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            for &next in self.targets(attribute, id) {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}
