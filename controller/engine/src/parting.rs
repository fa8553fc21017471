//! Entries that were joined to others and are no longer read: their identity stays while another entry carries it.
//!
//! Until it is proven that such an entry is gone, nothing of the identity is changed, for it may still have its part in it. After
//! that its anchor remains a name of the identity as long as the object at the target bears it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{anchor::Anchor, space::Swept};

/// See the module. Part of the memory; empty where nothing is joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Partings {
    /// By each name of the entry that is no longer read.
    departed: BTreeMap<Anchor, Parting>,
    /// From each name of an entry that stayed to those who left it, by their anchors.
    stayed: BTreeMap<Anchor, BTreeSet<Anchor>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Parting {
    /// Anchor first, then the alternate.
    names: Vec<Anchor>,
    /// The names of those who stayed.
    stayed: BTreeSet<Anchor>,
}

impl Partings {
    pub(crate) fn is_empty(&self) -> bool {
        self.departed.is_empty()
    }

    /// An entry is no longer read; `stayed` are the names of the entries that were one identity with it.
    pub(crate) fn part(&mut self, swept: &Swept, stayed: &[Anchor]) {
        if stayed.is_empty() {
            return;
        }
        let names = [Some(&swept.anchor), swept.alternate.as_ref()];
        let names: Vec<Anchor> = names.into_iter().flatten().cloned().collect();
        for name in stayed {
            let left = self.stayed.entry(name.clone()).or_default();
            left.insert(swept.anchor.clone());
        }
        for name in &names {
            let parting = Parting {
                names: names.clone(),
                stayed: stayed.iter().cloned().collect(),
            };
            self.departed.insert(name.clone(), parting);
        }
    }

    /// The entry is there again, or nothing needs to know of it any more.
    pub(crate) fn forget(&mut self, name: &Anchor) {
        let Some(parting) = self.departed.remove(name) else {
            return;
        };
        for name in &parting.names {
            self.departed.remove(name);
        }
        for stayed in &parting.stayed {
            if let Some(left) = self.stayed.get_mut(stayed) {
                left.retain(|anchor| !parting.names.contains(anchor));
                if left.is_empty() {
                    self.stayed.remove(stayed);
                }
            }
        }
    }

    /// All names of an entry that is no longer read, of which this is one.
    pub(crate) fn names(&self, name: &Anchor) -> &[Anchor] {
        self.departed
            .get(name)
            .map_or(&[], |parting| &parting.names)
    }

    /// The names of those who stayed when the entry with this name left.
    pub(crate) fn stayed(&self, name: &Anchor) -> impl Iterator<Item = &Anchor> {
        let parting = self.departed.get(name).into_iter();
        parting.flat_map(|parting| &parting.stayed)
    }

    /// The anchors of those who left the entry with this name.
    pub(crate) fn left(&self, name: &Anchor) -> impl Iterator<Item = &Anchor> {
        self.stayed.get(name).into_iter().flatten()
    }

    /// The name is of somebody who left or stayed.
    pub(crate) fn concerns(&self, name: &Anchor) -> bool {
        self.departed.contains_key(name) || self.stayed.contains_key(name)
    }

    /// The names of all who left.
    pub(crate) fn all(&self) -> Vec<Anchor> {
        self.departed.keys().cloned().collect()
    }
}
