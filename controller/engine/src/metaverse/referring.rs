//! Fourth stage: managers and members, by anchor. DNs are resolved within their connector, so that spelling and renames do not matter.
//!
//! What is wanted: whoever an attribute names and who takes part. What is taken away: only who is known not to be wanted, that is a person
//! or group of ours that was read (or is proven gone, or left) and that the source does not name, or someone without our mark whom
//! another hand added. Left alone: whoever is set aside, unproven or held, whose connector was not read, whom the source still names
//! although he left the scope (a disabled leaver keeps his groups, so that he finds them when he returns), and members that are
//! neither users nor groups.
//!
//! Here it is noted what may have to be done; what of it is certain, [`crate::draft`] decides with each plan.

use std::collections::HashSet;

use super::{Metaverse, References, Standing, World, update::Work};
use crate::{
    anchor::Anchor, configuration::Configuration, entry::Class, mapping::Mapping, space::Spaces,
    target_view::State,
};

impl Metaverse {
    /// Compares the references of all that are concerned.
    pub(super) fn refer(&mut self, world: &World<'_>, work: &Work) {
        for slot in work.references.iter() {
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
                _ => self.manager(world, slot, mapping),
            };
            if references != References::default() {
                self.references.insert(slot, references);
            }
        }
    }

    fn mapping<'a>(&self, configuration: &'a Configuration, slot: u32) -> Option<&'a Mapping> {
        let state = self.state(slot);
        let scope = configuration.scopes.get(usize::from(state.scope))?;
        scope.mapping.get(&state.class)
    }

    /// The entries that are named as an identity's manager.
    pub(crate) fn named_managers(
        &self,
        configuration: &Configuration,
        spaces: &Spaces,
        slot: u32,
    ) -> Vec<u32> {
        let mapping = self.mapping(configuration, slot);
        let attribute = mapping.and_then(Mapping::manager);
        attribute.map_or(Vec::new(), |name| spaces.references(slot, name))
    }

    /// The identity that an entry stands for: itself, or the one that has its anchor.
    pub(crate) fn peer(&self, spaces: &Spaces, slot: u32) -> Option<u32> {
        if self.is_identity(slot) {
            return Some(slot);
        }
        self.identity_of(spaces, &spaces.anchor(slot)?)
    }

    fn manager(&self, world: &World<'_>, slot: u32, mapping: &Mapping) -> References {
        let attribute = mapping.manager();
        let named = attribute.map_or(Vec::new(), |name| world.spaces.references(slot, name));
        let (_, object) = self.found(slot);
        let held = object.and_then(|object| world.view.manager(object));
        let peers = named
            .iter()
            .filter_map(|named| self.peer(world.spaces, *named));
        let wanted = peers.into_iter().find(|peer| self.may_exist(*peer));
        let manager = attribute.is_some()
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
            .flat_map(|name| world.spaces.references(slot, name))
        {
            named.insert(entry);
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
