//! Second stage: which entries are identities. (One entry is one identity; an anchor that two entries have is nobody's.)

use super::{Metaverse, Stage, Standing, World, update::Work};
use crate::{
    anchor::Anchor,
    entry::Class,
    fault::{Fault, planted},
    identity::Aside,
    index::NONE,
    reason::Reason,
};

impl Metaverse {
    /// Decides the identity of every anchor that is concerned.
    pub(super) fn join(&mut self, world: &World<'_>, work: &mut Work) {
        for anchor in std::mem::take(&mut work.joins) {
            let slots = world.spaces.by_anchor(&anchor);
            let (takers, others): (Vec<u32>, Vec<u32>) = slots
                .into_iter()
                .partition(|slot| self.state(*slot).scope != u16::MAX);
            for slot in others {
                self.aside.remove(&(Stage::Join, slot));
                self.drop_identity(world, work, slot);
            }
            match takers.as_slice() {
                [] => {}
                [slot] => self.make_identity(world, work, *slot),
                twins => {
                    for slot in twins {
                        let message = same_anchor(world, twins, *slot, &anchor);
                        let aside = Aside {
                            reason: Reason::AnchorNotUnique,
                            message,
                        };
                        self.drop_identity(world, work, *slot);
                        self.aside.insert((Stage::Join, *slot), aside);
                    }
                }
            }
        }
    }

    fn make_identity(&mut self, world: &World<'_>, work: &mut Work, slot: u32) {
        self.aside.remove(&(Stage::Join, slot));
        match self.compute(world.configuration, world.spaces, slot) {
            Some(Ok(identity)) => {
                work.matches.insert(slot);
                if !self.is_identity(slot) {
                    self.state_mut(slot).identity = true;
                    self.count_identity(identity.class, true);
                    tell_referrers(world, work, slot);
                }
                self.keep_identity(identity);
            }
            Some(Err(aside)) => {
                self.drop_identity(world, work, slot);
                self.aside.insert((Stage::Join, slot), aside);
            }
            None => self.drop_identity(world, work, slot),
        }
    }

    pub(super) fn count_identity(&mut self, class: Class, more: bool) {
        let count = match class {
            Class::User => &mut self.counts.users,
            Class::Group => &mut self.counts.groups,
            Class::Contact => return,
        };
        *count = if more {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
    }

    /// The entry is no identity any more: undoes what was so because of it.
    pub(super) fn drop_identity(&mut self, world: &World<'_>, work: &mut Work, slot: u32) {
        let state = self.state(slot);
        if !state.identity {
            return;
        }
        work.matches.extend(self.neighbours(world, slot));
        self.set_keys(slot, &[], &[]);
        self.release(work, slot);
        if state.object != NONE {
            work.objects.insert(state.object);
            work.disowned.insert(state.object, slot);
        }
        self.memberships = self.memberships.saturating_sub(state.members as usize);
        self.count_identity(state.class, false);
        self.pending.remove(&slot);
        self.references.remove(&slot);
        self.aside.remove(&(Stage::Match, slot));
        self.aside.remove(&(Stage::Make, slot));
        self.cache.remove(&slot);
        tell_referrers(world, work, slot);
        let own = self.state_mut(slot);
        own.identity = false;
        own.standing = Standing::None;
        (own.object, own.members) = (NONE, 0);
    }
}

/// Whoever links to the entry compares his references again.
pub(super) fn tell_referrers(world: &World<'_>, work: &mut Work, slot: u32) {
    if !planted(Fault::ArrivalUnnoticed) {
        work.references.extend(world.spaces.referrers(slot));
    }
}

fn same_anchor(world: &World<'_>, twins: &[u32], twin: u32, anchor: &Anchor) -> String {
    let own = world.spaces.dn_text(twin);
    let mut others: Vec<String> = twins
        .iter()
        .map(|other| world.spaces.dn_text(*other))
        .filter(|dn| *dn != own)
        .collect();
    others.sort();
    format!(
        "`{}` has the same source anchor {anchor}: give one of them another value",
        others.join("`, `")
    )
}
