//! Second stage: which entries are identities. Without joins each is one of its own; an anchor that two entries have is nobody's.
//!
//! With joins, entries that have a join value in common are one identity, directly or by way of others, unless two of them are of
//! the same connector: then all are set aside, each naming the others. An entry that is read but in no scope gives no values; if it is
//! the only one of its connector, it still lends its anchor, so that the identity keeps its object.
//!
//! The identity is kept with one of its entries, its lead: the first by precedence whose anchor is in the mark of one of our objects,
//! else the first. While a connector has not been read, or a scope of one is unsettled, nobody whom the joins concern is decided.

use std::collections::{BTreeMap, HashSet};

use super::{
    Metaverse, Stage, Standing, World,
    component::{component, connector_name, join_values, only_of_their_connector, rank},
    update::Work,
};
use crate::{
    anchor::Anchor,
    configuration::Configuration,
    entry::{Class, Entry, EntryKind},
    fault::{Fault, planted},
    gone::{Verdict, judge},
    identity::Aside,
    index::{NONE, hash, short},
    reason::Reason,
    space::Spaces,
};

impl Metaverse {
    /// Decides the identity of every anchor that is concerned.
    pub(super) fn join(&mut self, world: &World<'_>, work: &mut Work) {
        let mut done = HashSet::new();
        while let Some(anchor) = work.joins.pop_first() {
            let slots = world.spaces.by_anchor(&anchor);
            for slot in &slots {
                if joinable(world, *slot) {
                    self.join_with_others(world, work, *slot, &mut done);
                }
            }
            let (takers, others): (Vec<u32>, Vec<u32>) =
                slots.into_iter().partition(|slot| self.takes_part(*slot));
            for slot in others {
                if !joinable(world, slot) {
                    self.aside.remove(&(Stage::Join, slot));
                    self.drop_identity(world, work, slot);
                }
            }
            match takers.as_slice() {
                [] => {}
                [slot] if joinable(world, *slot) => {}
                [slot] => self.make_identity(world, work, *slot),
                twins => {
                    for slot in twins {
                        self.set_twin_aside(world, work, *slot, &anchor, twins);
                    }
                }
            }
        }
    }

    pub(crate) fn takes_part(&self, slot: u32) -> bool {
        self.state(slot).scope != u16::MAX
    }

    /// Keeps the join values of an entry as they are now, and names those whom that concerns.
    pub(super) fn take_join_values(
        &mut self,
        world: &World<'_>,
        work: &mut Work,
        slot: u32,
        entry: Option<&Entry>,
    ) {
        let Some(joins) = &world.configuration.joins else {
            return;
        };
        let entry = entry.filter(|entry| entry.kind == EntryKind::User && entry.anchor.is_some());
        let values = entry.map_or(Vec::new(), |entry| {
            let connector = connector_name(world.spaces, slot);
            join_values(joins, connector, entry)
        });
        let keys = values.iter().map(|value| short(hash(value))).collect();
        let concerned = self.rings.set_keys(slot, keys);
        if planted(Fault::JoinedUnnoticed) {
            return;
        }
        let tied = self.rings.members(slot);
        let concerned = concerned.into_iter().chain(tied);
        let anchors = concerned.filter_map(|other| world.spaces.anchor(other));
        work.joins.extend(anchors);
    }

    /// Nobody whom the joins concern can be decided: a connector was not read yet, or a scope of one is unsettled.
    pub(super) fn joins_wait(&self, configuration: &Configuration, spaces: &Spaces) -> bool {
        let joins = configuration.joins.iter();
        let mut connectors = joins.flat_map(|joins| &joins.precedence);
        let unread = |name: &String| {
            let space = spaces
                .find(name)
                .and_then(|number| spaces.connector(number));
            space.is_none_or(|space| space.complete().is_none())
        };
        connectors.any(|name| unread(name) || self.faulted(configuration, name))
            && !planted(Fault::JoinsDoNotWait)
    }

    /// The names of the entries that are one identity with this one, as of the last plan, and are still read.
    pub(crate) fn joined_to(&self, spaces: &Spaces, slot: u32) -> Vec<Anchor> {
        let others = self.joined_with(slot).into_iter();
        others.flat_map(|other| spaces.names_of(other)).collect()
    }

    /// The other entries of its identity, as of the last plan; also those that take no part.
    pub(crate) fn joined_with(&self, slot: u32) -> Vec<u32> {
        self.rings.members(slot).into_iter().skip(1).collect()
    }

    /// The entries of an identity that give it values, by precedence; without joins the one.
    pub(crate) fn contributors(
        &self,
        configuration: &Configuration,
        spaces: &Spaces,
        slot: u32,
    ) -> Vec<u32> {
        let Some(joins) = configuration
            .joins
            .as_ref()
            .filter(|_| self.rings.is_tied(slot))
        else {
            return vec![slot];
        };
        let mut members = self.rings.members(slot);
        members.retain(|member| self.takes_part(*member));
        members.sort_by_key(|member| rank(joins, spaces, *member));
        members
    }

    /// An entry of the same identity carries it.
    pub(crate) fn lead(&self, slot: u32) -> Option<u32> {
        if !self.rings.is_tied(slot) {
            return self.is_identity(slot).then_some(slot);
        }
        let mut members = self.rings.members(slot).into_iter();
        members.find(|member| self.is_identity(*member))
    }

    /// Decides an entry with all that have a join value in common with it.
    fn join_with_others(
        &mut self,
        world: &World<'_>,
        work: &mut Work,
        first: u32,
        done: &mut HashSet<u32>,
    ) {
        let Some(joins) = &world.configuration.joins else {
            return;
        };
        if done.contains(&first) {
            return;
        }
        let component = component(self, joins, world.spaces, first);
        done.extend(&component);
        let mut before: Vec<u32> = Vec::new();
        for slot in &component {
            before.extend(self.rings.members(*slot));
            self.aside.remove(&(Stage::Join, *slot));
        }
        for slot in &component {
            self.rings.untie(*slot);
        }
        let (mut active, dormant): (Vec<u32>, Vec<u32>) =
            component.iter().partition(|slot| self.takes_part(**slot));
        active.sort_by_key(|slot| rank(joins, world.spaces, *slot));
        if before.len() > 1 || !world.memory.partings.is_empty() {
            tell_of(world, work, before.iter().chain(&component));
        }
        if self.waiting || active.is_empty() {
            for slot in &component {
                self.drop_identity(world, work, *slot);
            }
            return;
        }
        let mut ring = active.clone();
        ring.extend(only_of_their_connector(world.spaces, &active, &dormant));
        self.rings.tie(&ring);
        let lead = choose_lead(world, &active);
        for slot in component.iter().filter(|slot| **slot != lead) {
            self.drop_identity(world, work, *slot);
        }
        if !self.set_conflict_aside(world, work, &active)
            && !self.set_unproven_aside(world, work, &active)
        {
            self.make_identity(world, work, lead);
        }
    }

    /// Two entries of one connector, or one whose anchor is not unique: nobody can tell who belongs to whom.
    fn set_conflict_aside(&mut self, world: &World<'_>, work: &mut Work, active: &[u32]) -> bool {
        let spaces = &*world.spaces;
        let mut by_connector: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for slot in active {
            let name = connector_name(spaces, *slot);
            by_connector.entry(name).or_default().push(*slot);
        }
        let twins = |metaverse: &Self, slot: u32| {
            let anchor = spaces.anchor(slot);
            let mut twins = anchor.map_or(Vec::new(), |anchor| spaces.by_anchor(&anchor));
            twins.retain(|twin| metaverse.takes_part(*twin));
            twins
        };
        let rival = by_connector.iter().find(|(_, slots)| slots.len() > 1);
        let twin = active.iter().find(|slot| twins(self, **slot).len() > 1);
        let why = match (rival, twin) {
            (Some((connector, slots)), _) => {
                format!(
                    "{} of connector `{connector}` are joined to one identity",
                    list(spaces, slots)
                )
            }
            (None, Some(twin)) => {
                format!(
                    "{} is joined to it and has no source anchor of its own",
                    list(spaces, &[*twin])
                )
            }
            (None, None) => return false,
        };
        for slot in active {
            let twins = twins(self, *slot);
            if let (Some(anchor), true) = (spaces.anchor(*slot), twins.len() > 1) {
                self.set_twin_aside(world, work, *slot, &anchor, &twins);
                continue;
            }
            let connector = connector_name(spaces, *slot);
            let rivals = by_connector.get(connector).map_or(&[][..], Vec::as_slice);
            let rivals: Vec<u32> = rivals.iter().copied().filter(|it| it != slot).collect();
            let message = if rivals.is_empty() {
                format!("{why}: correct the value by which they are joined in all but one")
            } else {
                let rivals = list(spaces, &rivals);
                format!(
                    "{rivals} of the same connector `{connector}` is joined to the same identity: correct the value by which they are joined in all but one"
                )
            };
            self.drop_identity(world, work, *slot);
            let reason = Reason::JoinAmbiguous;
            let aside = Aside { reason, message };
            self.aside.insert((Stage::Join, *slot), aside);
        }
        true
    }

    /// An entry that was joined to them is no longer read, and nothing proves that it is gone.
    fn set_unproven_aside(&mut self, world: &World<'_>, work: &mut Work, active: &[u32]) -> bool {
        let (memory, spaces) = (&*world.memory, &*world.spaces);
        if memory.partings.is_empty() {
            return false;
        }
        let names = active.iter().flat_map(|slot| spaces.names_of(*slot));
        let names: Vec<Anchor> = names.collect();
        let left = names.iter().flat_map(|name| memory.partings.left(name));
        let connectors = &world.configuration.connectors;
        let unproven = left.into_iter().find_map(|anchor| {
            let verdict = judge(memory, spaces, connectors, anchor);
            match verdict {
                Verdict::Gone => None,
                Verdict::Unproven { missing, .. } => Some((anchor, missing)),
            }
        });
        let Some((anchor, missing)) = unproven else {
            return false;
        };
        for slot in active {
            let message = format!(
                "the entry {anchor}, which was joined to it, is no longer read, and its absence is not proven: {missing}"
            );
            let reason = Reason::AbsenceUnproven;
            self.aside
                .insert((Stage::Join, *slot), Aside { reason, message });
            self.drop_identity(world, work, *slot);
        }
        true
    }

    fn set_twin_aside(
        &mut self,
        world: &World<'_>,
        work: &mut Work,
        slot: u32,
        anchor: &Anchor,
        twins: &[u32],
    ) {
        let message = same_anchor(world, twins, slot, anchor);
        let reason = Reason::AnchorNotUnique;
        self.drop_identity(world, work, slot);
        self.aside
            .insert((Stage::Join, slot), Aside { reason, message });
    }

    fn make_identity(&mut self, world: &World<'_>, work: &mut Work, slot: u32) {
        self.aside.remove(&(Stage::Join, slot));
        match self.compute(
            world.configuration,
            world.spaces,
            &world.memory.partings,
            slot,
        ) {
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

/// The joins concern the entry.
pub(super) fn joinable(world: &World<'_>, slot: u32) -> bool {
    let Some(joins) = &world.configuration.joins else {
        return false;
    };
    let user = (world.spaces.head(slot)).is_some_and(|head| head.0 == EntryKind::User);
    user && rank(joins, world.spaces, slot).is_some()
}

/// All whom the joins concern are decided anew, with everything that bears their names.
pub(super) fn rejoin(world: &World<'_>, work: &mut Work) {
    for slot in world.spaces.slots() {
        if joinable(world, slot) {
            work.joins.extend(world.spaces.anchor(slot));
            work.anchors.extend(world.spaces.names_of(slot));
        }
    }
    work.anchors.extend(world.memory.partings.all());
}

/// The first by precedence whose anchor is in the mark of one of our objects, live or deleted; else the first.
fn choose_lead(world: &World<'_>, active: &[u32]) -> u32 {
    let marked = |slot: &&u32| {
        let mut names = world.spaces.names_of(**slot).into_iter();
        names.any(|name| !world.view.by_mark(&name).is_empty())
    };
    let deleted = |slot: &&u32| {
        let mut names = world.spaces.names_of(**slot).into_iter();
        names.any(|name| !world.view.deleted_by_mark(&name).is_empty())
    };
    let first = active.first().copied().unwrap_or(NONE);
    if active.len() < 2 {
        return first;
    }
    let lead = active.iter().find(marked);
    lead.or_else(|| active.iter().find(deleted))
        .copied()
        .unwrap_or(first)
}

/// Whoever links to one of these, and whose mark is one of their names, is looked at again.
fn tell_of<'s>(world: &World<'_>, work: &mut Work, slots: impl Iterator<Item = &'s u32>) {
    for slot in slots {
        tell_referrers(world, work, *slot);
        for name in world.spaces.names_of(*slot) {
            work.anchors
                .extend(world.memory.partings.left(&name).cloned());
            work.anchors.insert(name);
        }
    }
}

/// Whoever links to the entry, or to another entry of its identity, compares his references again.
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

/// The DNs of a few, sorted.
fn list(spaces: &Spaces, slots: &[u32]) -> String {
    let mut names: Vec<String> = slots.iter().map(|slot| spaces.dn_text(*slot)).collect();
    names.sort();
    let more = names.len().saturating_sub(3);
    names.truncate(3);
    let names = names.join("`, `");
    match more {
        0 => format!("`{names}`"),
        more => format!("`{names}` and {more} more"),
    }
}
