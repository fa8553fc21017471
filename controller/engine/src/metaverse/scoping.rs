//! First stage: the rules of the scopes, and the part that each entry takes by them.

use super::{Metaverse, Stage, World, ruled, update::Work};
use crate::{
    entry::Class,
    fault::{Fault, planted},
    identity::{Kind, Part, ScopeCounts, changes_at, class_of, part},
    scope::{Concerned, Decided, Read},
};

impl Metaverse {
    /// Looks the rules up and names whose part may be another one.
    pub(super) fn decide(&mut self, world: &mut World<'_>, work: &mut Work) {
        let scopes = &world.configuration.scopes;
        self.decided.resize(scopes.len(), None);
        self.scope_counts
            .resize(scopes.len(), ScopeCounts::default());
        let changed = work.slots.iter().copied();
        let changed = changed.chain(work.references.iter()).collect();
        for (scope, decided) in scopes.iter().zip(&mut self.decided) {
            let Some(connector) = world.spaces.find(&scope.connector) else {
                continue;
            };
            let space = world.spaces.connector(connector);
            let Some(space) = space.filter(|space| space.complete().is_some()) else {
                continue;
            };
            let read = Read {
                spaces: world.spaces,
                connector,
            };
            let known = world.memory.resolved.get(&scope.name);
            let before = decided.take();
            let old = before.as_ref().map(|before| (before, &changed));
            let new = Decided::new(scope, read, known, old);
            let concerned = before.map_or(Concerned::All, |old| new.concerned(&old, read));
            match concerned {
                Concerned::Some(slots) => work.slots.extend(slots),
                Concerned::All => {
                    let all = world.spaces.slots();
                    work.slots.extend(
                        all.filter(|slot| world.spaces.connector_of(*slot) == Some(connector)),
                    );
                }
            }
            if space.settled() {
                let resolved = new.resolved.clone();
                world.memory.resolved.insert(scope.name.clone(), resolved);
            }
            *decided = Some(new);
        }
    }

    /// The part of every entry that is concerned.
    pub(super) fn take_parts(&mut self, world: &World<'_>, work: &mut Work) {
        for slot in std::mem::take(&mut work.slots) {
            let Some((kind, anchor, alternate)) = world.spaces.head(slot) else {
                self.set_part(slot, Part::None, Vec::new());
                self.set_moment(slot, None);
                self.aside.remove(&(Stage::Join, slot));
                self.take_join_values(world, work, slot, None);
                self.rings.untie(slot);
                self.drop_identity(world, work, slot);
                continue;
            };
            let connector = world.spaces.connector_of(slot).unwrap_or_default();
            let space = world.spaces.connector(connector);
            let name = space.map_or("", |space| space.name.as_str());
            let scopes = ruled(world.configuration, &self.decided, name);
            let entry = (!scopes.is_empty() && class_of(kind).is_some())
                .then(|| world.spaces.entry(slot))
                .flatten();
            let moment = entry
                .as_ref()
                .and_then(|entry| changes_at(entry, &scopes, world.now));
            let (part, taken) = entry.as_ref().map_or((Part::None, Vec::new()), |entry| {
                part(slot, entry, &scopes, world.configuration, world.now)
            });
            self.set_moment(slot, moment.filter(|_| !planted(Fault::TimeStandsStill)));
            self.take_join_values(world, work, slot, entry.as_ref());
            let stale = planted(Fault::ConditionStale) && self.state(slot).scope != u16::MAX;
            if !stale {
                self.state_mut(slot).class = class_of(kind).unwrap_or(Class::User);
                self.set_part(slot, part, taken);
            }
            match anchor {
                Some(anchor) => {
                    work.joins.insert(anchor.clone());
                    work.anchors.insert(anchor);
                }
                None => self.drop_identity(world, work, slot),
            }
            work.anchors.extend(alternate);
        }
    }

    /// Counts the entry where it now belongs.
    fn set_part(&mut self, slot: u32, part: Part, taken: Vec<u16>) {
        let old = self.state(slot);
        let class = old.class;
        self.count(old.taken, class, old.unsupported, false);
        let known = self.sets.iter().position(|set| *set == taken);
        let taken = known.unwrap_or_else(|| {
            self.sets.push(taken);
            self.sets.len() - 1
        });
        let taken = u16::try_from(taken).unwrap_or_default();
        let (mut scope, mut unsupported) = (u16::MAX, None);
        self.aside.remove(&(Stage::Scope, slot));
        match part {
            Part::None => {}
            Part::Aside(aside) => {
                self.aside.insert((Stage::Scope, slot), aside);
            }
            Part::Unsupported(kind) => unsupported = Some(kind),
            Part::Takes(at) => scope = u16::try_from(at).unwrap_or(u16::MAX),
        }
        let state = self.state_mut(slot);
        (state.scope, state.taken, state.unsupported) = (scope, taken, unsupported);
        self.count(taken, class, unsupported, true);
    }

    pub(super) fn count(
        &mut self,
        taken: u16,
        class: Class,
        unsupported: Option<Kind>,
        more: bool,
    ) {
        let add = |count: &mut usize| {
            *count = if more {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        };
        let scopes = self.sets.get(usize::from(taken)).into_iter().flatten();
        for scope in scopes {
            if let Some(counts) = self.scope_counts.get_mut(usize::from(*scope)) {
                add(match class {
                    Class::User => &mut counts.users,
                    Class::Group => &mut counts.groups,
                    Class::Contact => &mut counts.contacts,
                });
            }
        }
        match unsupported {
            Some(Kind::Contact) => add(&mut self.unsupported.contacts),
            Some(Kind::DistributionGroup) => add(&mut self.unsupported.distribution_groups),
            None => {}
        }
    }
}
