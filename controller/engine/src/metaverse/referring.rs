//! Fourth stage: managers and members, by anchor. DNs are resolved within their connector, so that spelling and renames do not matter;
//! whoever is joined to somebody is meant too, and a foreign security principal means the account of another forest.
//!
//! What is wanted: whoever an attribute names and who takes part. What is taken away: only who is known not to be wanted, that is a person
//! or group of ours that was read (or is proven gone, or left) and that the source does not name, or someone without our mark whom
//! another hand added. Left alone: whoever is set aside, unproven or held, whose connector was not read, whom the source still names
//! although he left the scope (a disabled leaver keeps his groups, so that he finds them when he returns), and members that are
//! neither users nor groups.
//!
//! Here it is noted what may have to be done; what of it is certain, [`crate::draft`] decides with each plan.

use std::collections::{BTreeSet, HashSet};

use super::{Metaverse, References, Standing, World, update::Work};
use crate::{
    anchor::Anchor, configuration::Configuration, entry::Class, mapping::Mapping, space::Spaces,
    target_view::State,
};

/// The attribute of the target for which joins may give another order.
const MANAGER: &str = "manager";

impl Metaverse {
    /// Compares the references of all that are concerned.
    pub(super) fn refer(&mut self, world: &World<'_>, work: &Work) {
        // Whoever has links may be joined to the one that his identity is kept with.
        let concerned = work.references.iter();
        let concerned: BTreeSet<u32> = concerned
            .map(|slot| self.lead(slot).unwrap_or(slot))
            .collect();
        for slot in concerned {
            self.references.remove(&slot);
            let found = self.state(slot);
            if !found.identity || found.standing == Standing::None {
                continue;
            }
            let Some(mapping) = self.mapping(world.configuration, slot) else {
                continue;
            };
            let references = match found.class {
                Class::Group => self.members(world, slot, mapping),
                _ => self.manager(world, slot),
            };
            if references != References::default() {
                self.references.insert(slot, references);
            }
        }
    }

    /// The mapping of the scope that takes an entry.
    pub(crate) fn mapping<'a>(
        &self,
        configuration: &'a Configuration,
        slot: u32,
    ) -> Option<&'a Mapping> {
        let state = self.state(slot);
        let scope = configuration.scopes.get(usize::from(state.scope))?;
        scope.mapping.get(&state.class)
    }

    /// The entries that are named as an identity's manager, in the order in which they count.
    pub(crate) fn named_managers(
        &self,
        configuration: &Configuration,
        spaces: &Spaces,
        slot: u32,
    ) -> Vec<u32> {
        let mut contributors = self.contributors(configuration, spaces, slot);
        if let (Some(joins), true) = (&configuration.joins, contributors.len() > 1) {
            contributors.sort_by_key(|slot| {
                let scope = usize::from(self.state(*slot).scope);
                let connector = configuration
                    .scopes
                    .get(scope)
                    .map(|scope| &scope.connector);
                connector.map(|connector| joins.rank_for(MANAGER, connector))
            });
        }
        let named = contributors.into_iter().flat_map(|slot| {
            let mapping = self.mapping(configuration, slot);
            let attribute = mapping.and_then(Mapping::manager);
            attribute.map_or(Vec::new(), |name| spaces.references(slot, name))
        });
        named.collect()
    }

    /// Somebody's manager is mapped at all.
    fn maps_manager(&self, configuration: &Configuration, spaces: &Spaces, slot: u32) -> bool {
        let contributors = self.contributors(configuration, spaces, slot);
        let mut mappings =
            (contributors.into_iter()).filter_map(|slot| self.mapping(configuration, slot));
        mappings.any(|mapping| mapping.manager().is_some())
    }

    /// The identity that an entry stands for: itself, the one that it is joined to, or the one that has its anchor.
    pub(crate) fn peer(&self, spaces: &Spaces, slot: u32) -> Option<u32> {
        self.lead(slot)
            .or_else(|| self.identity_of(spaces, &spaces.anchor(slot)?))
    }

    fn manager(&self, world: &World<'_>, slot: u32) -> References {
        let named = self.named_managers(world.configuration, world.spaces, slot);
        let (_, object) = self.found(slot);
        let held = object.and_then(|object| world.view.manager(object));
        let peers = named
            .iter()
            .filter_map(|named| self.peer(world.spaces, *named));
        let wanted = peers.into_iter().find(|peer| self.may_exist(*peer));
        let manager = self.maps_manager(world.configuration, world.spaces, slot)
            && match wanted {
                Some(peer) => {
                    let (standing, object) = self.found(peer);
                    standing != Standing::Ours || object != held
                }
                None => held.is_some(),
            };
        References {
            manager,
            ..References::default()
        }
    }

    fn members(&self, world: &World<'_>, slot: u32, mapping: &Mapping) -> References {
        let mut references = References::default();
        let attributes = mapping.members();
        let (standing, object) = self.found(slot);
        let members = object.and_then(|object| world.view.members(object));
        if attributes.is_empty() || standing == Standing::Ours && members.is_none() {
            return references;
        }
        let held: HashSet<u32> = members.into_iter().flatten().copied().collect();
        let mut named = HashSet::new();
        let mut peers = HashSet::new();
        for entry in attributes
            .iter()
            .flat_map(|name| world.spaces.references_abroad(slot, name))
        {
            if self.rings.is_tied(entry) {
                named.extend(self.rings.members(entry));
            } else {
                named.insert(entry);
            }
            let Some(peer) = self.peer(world.spaces, entry) else {
                continue;
            };
            let first = peers.insert(peer);
            let (_, object) = self.found(peer);
            if first && self.may_exist(peer) && !object.is_some_and(|one| held.contains(&one)) {
                references.adds.push(peer);
            }
        }
        if standing != Standing::Ours {
            return references;
        }
        let is_named = |mark: &Anchor| {
            let entries = world.spaces.by_name(mark);
            entries.iter().any(|entry| named.contains(entry))
        };
        for object in members.into_iter().flatten() {
            let owner = world.view.owner_of(*object);
            if owner.is_some_and(|owner| named.contains(&owner))
                || world.view.state(*object) != State::Live
                || world.view.ours(*object).is_some_and(|mark| is_named(&mark))
            {
                continue;
            }
            references.removes.push(*object);
        }
        references
    }
}
