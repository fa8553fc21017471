//! One update: from what changed since the last plan to whom each stage concerns.

use std::collections::{BTreeMap, BTreeSet};

use super::{Metaverse, World, joining::rejoin, leaving::forget_all};
use crate::{
    anchor::Anchor,
    fault::{Fault, planted},
    numbers::Numbers,
};

/// Whom the stages that follow concern.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Entries whose part is to be decided.
    pub(super) slots: BTreeSet<u32>,
    /// Anchors whose identity is to be decided.
    pub(super) joins: BTreeSet<Anchor>,
    /// Identities whose object is to be found.
    pub(super) matches: Numbers,
    /// Identities whose references are to be compared.
    pub(super) references: Numbers,
    /// Anchors that an entry, an identity, an object or the memory got or lost.
    pub(super) anchors: BTreeSet<Anchor>,
    /// Objects that may leave or stay.
    pub(super) objects: Numbers,
    /// Objects whose entry is no identity any more.
    pub(super) disowned: BTreeMap<u32, u32>,
}

/// So many entries are taken at once when all are.
const AT_ONCE: usize = 50_000;

impl Metaverse {
    /// Brings everything up to date.
    pub(crate) fn update(&mut self, world: &mut World<'_>) {
        let journal = std::mem::take(&mut world.spaces.journal);
        let seen = std::mem::take(&mut world.view.seen);
        let remembered = std::mem::take(&mut self.remembered);
        let (mut work, mut looked_at) = (Work::default(), Numbers::default());
        if self.everything || seen.everything {
            self.forget_results();
            self.now = world.now;
            world.view.disown();
            let ours: Vec<u32> = world.view.all_ours().map(|(handle, _)| handle).collect();
            work.objects.extend(ours);
            self.decide(world, &mut work);
            self.waiting = self.joins_wait(world.configuration, world.spaces);
            forget_all(world);
            looked_at.extend(self.everyone(world, &mut work));
        } else {
            self.now = world.now;
            work.slots = journal.slots;
            work.slots.extend(self.come());
            for name in &journal.names {
                work.references.extend(world.spaces.linked(*name));
            }
            respell(world, &journal.renamed, &mut work);
            work.joins.clone_from(&journal.anchors);
            work.joins.append(&mut self.released);
            work.anchors = journal.anchors;
            work.anchors.extend(remembered);
            self.decide(world, &mut work);
            self.concern_joined(world, &mut work, &seen.anchors);
        }
        looked_at.extend(work.slots.iter().copied());
        self.take_parts(world, &mut work);
        self.join(world, &mut work);
        if world.view.complete() {
            work.anchors.extend(seen.anchors);
            work.objects.extend(seen.objects);
            if !planted(Fault::UniqueStale) {
                let sharing = seen.values.iter();
                let sharing = sharing.flat_map(|key| self.sharing(world, *key));
                work.matches.extend(sharing.collect::<Vec<_>>());
            }
            self.concern(world, &mut work);
            looked_at.extend(self.find(world, &mut work).iter());
            if !seen.reborn.is_empty() {
                let holders = world.view.referring_to(&seen.reborn);
                let owners = holders
                    .into_iter()
                    .filter_map(|one| world.view.owner_of(one));
                work.references.extend(owners.collect::<Vec<_>>());
            }
            looked_at.extend(work.references.iter());
            self.refer(world, &work);
            self.part_with(world, &work);
        }
        self.cache.clear();
        self.recomputed += looked_at.len();
        world.spaces.forget_left();
    }

    /// All entries, some at a time: whom a stage concerns is kept by number only.
    fn everyone(&mut self, world: &mut World<'_>, work: &mut Work) -> Vec<u32> {
        work.slots.clear();
        let all: Vec<u32> = world.spaces.slots().collect();
        let joins = world.configuration.joins.is_some();
        for some in all.chunks(AT_ONCE) {
            work.slots.extend(some);
            self.take_parts(world, work);
            if joins {
                work.joins.clear();
            } else {
                self.join(world, work);
            }
            work.anchors.clear();
        }
        // Whom somebody is joined to is known once all join values are.
        for some in all.chunks(AT_ONCE).filter(|_| joins) {
            let anchors = some.iter().filter_map(|slot| world.spaces.anchor(*slot));
            work.joins.extend(anchors);
            self.join(world, work);
            work.anchors.clear();
        }
        all
    }

    /// Who is joined to others and is concerned by what happened to those who left, or to marks.
    fn concern_joined(&mut self, world: &World<'_>, work: &mut Work, marks: &BTreeSet<Anchor>) {
        if world.configuration.joins.is_none() {
            return;
        }
        let waited = self.waiting;
        self.waiting = self.joins_wait(world.configuration, world.spaces);
        if waited != self.waiting {
            rejoin(world, work);
        }
        let partings = &world.memory.partings;
        let names = work.anchors.iter().chain(marks);
        let stayed = names.flat_map(|name| partings.stayed(name));
        let slots = stayed
            .chain(marks)
            .flat_map(|name| world.spaces.by_name(name));
        let joined: Vec<Anchor> = slots.filter_map(|slot| world.spaces.anchor(slot)).collect();
        work.joins.extend(joined);
    }

    /// Who has to do with the anchors and objects that changed.
    fn concern(&mut self, world: &World<'_>, work: &mut Work) {
        for anchor in &work.anchors {
            let named = world.spaces.by_name(anchor).into_iter();
            work.matches
                .extend(named.filter_map(|slot| self.lead(slot)));
            for object in world.view.by_mark(anchor) {
                work.objects.insert(object);
                let keys = world.view.value_keys(object);
                let sharing = keys.into_iter().flat_map(|key| self.sharing(world, key));
                work.matches.extend(sharing.collect::<Vec<_>>());
            }
        }
        let owners = work
            .objects
            .iter()
            .filter_map(|one| world.view.owner_of(one));
        work.matches.extend(owners.collect::<Vec<_>>());
    }
}

/// Filters and expressions may look at the text of a link; another one may now lead to whom was renamed.
fn respell(world: &World<'_>, renamed: &BTreeSet<u32>, work: &mut Work) {
    let spelled = |slot: &u32| {
        let connector = world.spaces.connector_of(*slot);
        let space = connector.and_then(|number| world.spaces.connector(number));
        space.is_some_and(|space| !space.spelled.is_empty())
    };
    let renamed = renamed.iter().filter(|slot| spelled(slot));
    let texts: Vec<u32> = renamed
        .flat_map(|slot| world.spaces.referrers(*slot))
        .chain(work.references.iter().filter(spelled))
        .collect();
    work.slots.extend(texts);
}
