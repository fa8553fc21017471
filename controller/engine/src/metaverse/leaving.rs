//! Fifth stage: our objects that no identity has and nothing keeps, and what the memory no longer needs to know.

use std::collections::BTreeSet;

use super::{Metaverse, Standing, World, joining::joinable, update::Work};
use crate::{
    anchor::Anchor,
    fault::{Fault, planted},
    gone::{Verdict, judge},
    leaving::{Sources, farewell, note_absence},
};

impl Metaverse {
    /// Who is concerned leaves or stays.
    pub(super) fn part_with(&mut self, world: &mut World<'_>, work: &Work) {
        let mut objects = work.objects.clone();
        for anchor in &work.anchors {
            objects.extend(world.view.by_mark(anchor));
        }
        let sources = Sources {
            configuration: world.configuration,
            spaces: world.spaces,
            metaverse: self,
        };
        let tells = sources.tells_absence();
        let mut noted = objects.clone();
        if tells && !self.told {
            noted.extend(self.orphans.iter().copied());
        }
        self.told = tells;
        for object in objects.iter() {
            let orphan = self.orphaned(world, object);
            let departing = orphan && departs(world, object);
            set(&mut self.orphans, object, orphan);
            set(&mut self.departing, object, departing);
        }
        for object in noted.iter() {
            if self.orphans.contains(&object)
                && let Some(anchor) = world.view.ours(object)
                && tells
                && world.spaces.by_name(&anchor).is_empty()
            {
                note_absence(world.configuration, world.spaces, world.memory, &anchor);
            }
        }
        for anchor in &work.anchors {
            forget(world, anchor);
        }
    }

    fn orphaned(&self, world: &World<'_>, object: u32) -> bool {
        let Some(anchor) = world.view.ours(object) else {
            return false;
        };
        let classes = world.configuration.capabilities.classes;
        let class = world.view.object(object).map(|object| object.class);
        class.is_some_and(|class| classes.contains(&class))
            && world.view.owner_of(object).is_none()
            && (planted(Fault::QuarantinedLeave) || !self.stays(world, &anchor))
    }

    /// An identity has the anchor, or an entry that is set aside does, or somebody's anchor has changed from it.
    fn stays(&self, world: &World<'_>, anchor: &Anchor) -> bool {
        let entries = world.spaces.by_name(anchor);
        let stayed = world.memory.partings.stayed(anchor);
        self.kept.contains_key(anchor)
            || entries
                .iter()
                .any(|slot| self.is_identity(*slot) || self.is_aside(*slot))
            || entries.iter().any(|slot| self.stays_joined(world, *slot))
            || stayed
                .flat_map(|name| world.spaces.by_name(name))
                .any(|slot| self.is_uncertain(world, slot))
    }

    /// The entry is no identity itself, and its object stays: another entry is the lead of its identity, or nothing is certain.
    fn stays_joined(&self, world: &World<'_>, slot: u32) -> bool {
        let leads = self.rings.is_tied(slot) && self.lead(slot).is_some();
        leads && self.takes_part(slot) || self.is_uncertain(world, slot)
    }

    /// It cannot be told which object belongs to the identity that the entry is joined to.
    fn is_uncertain(&self, world: &World<'_>, slot: u32) -> bool {
        let members = self.rings.members(slot);
        let unmatched = |lead| self.state(lead).standing == Standing::None;
        self.waiting && joinable(world, slot)
            || members.iter().any(|member| self.is_aside(*member))
            || self.lead(slot).is_some_and(unmatched)
    }
}

fn departs(world: &World<'_>, object: u32) -> bool {
    let Some(object) = world.view.object(object) else {
        return false;
    };
    let unfinished =
        (object.mark.as_ref()).is_some_and(|mark| world.memory.disabling.contains(&mark.anchor));
    farewell(&object, unfinished, world.configuration).is_some()
}

/// Forgets what the memory knows of nobody's concern.
pub(super) fn forget_all(world: &mut World<'_>) {
    if !world.view.complete() {
        return;
    }
    for anchor in world.memory.partings.all() {
        forget_parting(world, &anchor);
    }
    let view = &*world.view;
    let ours = |anchor: &Anchor| !view.by_mark(anchor).is_empty();
    let memory = &mut *world.memory;
    let partings = &memory.partings;
    for absences in memory.absences.values_mut() {
        absences.retain(|anchor, _| ours(anchor) || partings.concerns(anchor));
    }
    memory.absences.retain(|_, absences| !absences.is_empty());
    memory.anchor_changes.retain(|_, old| ours(old));
    memory.disabling.retain(ours);
    let known = |anchor: &Anchor| ours(anchor) || !world.spaces.by_anchor(anchor).is_empty();
    memory.rewritten.retain(|anchor, _| known(anchor));
}

fn set(objects: &mut BTreeSet<u32>, object: u32, into: bool) {
    if into {
        objects.insert(object);
    } else {
        objects.remove(&object);
    }
}

fn forget(world: &mut World<'_>, anchor: &Anchor) {
    let left: Vec<Anchor> = world.memory.partings.left(anchor).cloned().collect();
    for departed in left.iter().chain([anchor]) {
        forget_parting(world, departed);
    }
    let ours = !world.view.by_mark(anchor).is_empty();
    let known = ours || !world.spaces.by_anchor(anchor).is_empty();
    let memory = &mut *world.memory;
    if !ours {
        if !memory.partings.concerns(anchor) {
            for absences in memory.absences.values_mut() {
                absences.remove(anchor);
            }
        }
        memory.absences.retain(|_, absences| !absences.is_empty());
        memory.anchor_changes.retain(|_, old| old != anchor);
        memory.disabling.remove(anchor);
    }
    if !known {
        memory.rewritten.remove(anchor);
    }
}

/// Forgets who left an identity, unless an object bears his name or it is not proven that he is gone.
fn forget_parting(world: &mut World<'_>, departed: &Anchor) {
    let (memory, spaces) = (&*world.memory, &*world.spaces);
    let names = memory.partings.names(departed);
    let Some(anchor) = names.first().cloned() else {
        return;
    };
    let borne = |name: &Anchor| !world.view.by_mark(name).is_empty();
    let mut stayed = memory.partings.stayed(departed);
    let needed = names.iter().any(borne)
        || stayed.any(|name| borne(name) || !spaces.by_name(name).is_empty())
            && judge(memory, spaces, &world.configuration.connectors, &anchor) != Verdict::Gone;
    drop(stayed);
    if !needed {
        world.memory.partings.forget(&anchor);
    }
}
