//! Third stage: the object of every identity, and what is to be done about it.
//!
//! Identities that want or hold a value in common are decided together, for whoever is set aside gives nothing up. Everyone else
//! is decided alone.

use std::collections::BTreeMap;

use super::{CACHED, Metaverse, Stage, Standing, World, joining::tell_referrers, update::Work};
use crate::{
    anchor::Anchor,
    difference::{difference, first_values},
    entry::Class,
    fault::{Fault, planted},
    identity::{Aside, Identity},
    index::{NONE, hash, short},
    matching::{Against, Found, Matches, find},
    numbers::Numbers,
    operation::Change,
    reason::Reason,
    target::{Mark, Value},
    target_view::{AllKept, same, texts, value_key},
    unique::{self, Absence},
};

impl Metaverse {
    /// Decides all that are concerned, and returns them.
    pub(super) fn find(&mut self, world: &mut World<'_>, work: &mut Work) -> Numbers {
        for (object, slot) in std::mem::take(&mut work.disowned) {
            if world.view.owner_of(object) == Some(slot) {
                world.view.set_owner(object, None);
            }
        }
        let concerned = self.concerned(world, std::mem::take(&mut work.matches));
        let mut decided = Numbers::default();
        for slot in concerned.iter() {
            let (identities, matches) = self.gather(world, slot, &mut decided);
            if !identities.is_empty() {
                self.decide_together(world, work, &identities, matches);
            }
        }
        decided
    }

    /// Brings the keys of all these up to date, and adds everyone who had or has a key in common with one of them.
    fn concerned(&mut self, world: &World<'_>, slots: Numbers) -> Numbers {
        let mut concerned = Numbers::default();
        let mut queue: Vec<u32> = slots.iter().collect();
        while let Some(slot) = queue.pop() {
            if !self.is_identity(slot) || !concerned.insert(slot) {
                continue;
            }
            let Some(identity) = self.take_identity(world, slot) else {
                continue;
            };
            let mut alone = Matches::default();
            self.find_alone(world, &mut alone, &identity);
            let found = alone.found.get(&identity.anchor);
            let keys = keys(&identity, found, world);
            let held = match found {
                Some(Found::Ours(held)) => world.view.value_keys_of(&held.object),
                _ => Vec::new(),
            };
            let before = self.neighbours(world, slot);
            self.set_keys(slot, &keys, &held);
            let others = before.into_iter().chain(self.neighbours(world, slot));
            queue.extend(others.filter(|_| !planted(Fault::UniqueStale)));
            self.keep_identity(identity);
        }
        concerned
    }

    fn take_identity(&mut self, world: &World<'_>, slot: u32) -> Option<Identity> {
        let cached = self.cache.remove(&slot);
        cached.or_else(|| {
            let partings = &world.memory.partings;
            self.identity(world.configuration, world.spaces, partings, slot)
        })
    }

    pub(super) fn keep_identity(&mut self, identity: Identity) {
        if self.cache.len() < CACHED {
            self.cache.insert(identity.slot, identity);
        }
    }

    fn find_alone(&self, world: &World<'_>, matches: &mut Matches, identity: &Identity) {
        let taken = |anchor: &Anchor| self.identity_of(world.spaces, anchor).is_some();
        let changed = |anchor: &Anchor| world.memory.anchor_changes.get(anchor).cloned();
        let against = Against {
            view: world.view,
            configuration: world.configuration,
            taken: &taken,
            changed: &changed,
        };
        find(matches, identity, against);
    }

    /// An identity with all to whom its values matter, each with the object that it would have if it were alone.
    fn gather(
        &mut self,
        world: &World<'_>,
        first: u32,
        decided: &mut Numbers,
    ) -> (BTreeMap<Anchor, Identity>, Matches) {
        let (mut identities, mut matches) = (BTreeMap::new(), Matches::default());
        let mut queue = vec![first];
        while let Some(slot) = queue.pop() {
            if !self.is_identity(slot) || !decided.insert(slot) {
                continue;
            }
            let Some(identity) = self.take_identity(world, slot) else {
                continue;
            };
            self.find_alone(world, &mut matches, &identity);
            queue.extend(self.neighbours(world, slot));
            identities.insert(identity.anchor.clone(), identity);
        }
        (identities, matches)
    }

    fn decide_together(
        &mut self,
        world: &mut World<'_>,
        work: &mut Work,
        identities: &BTreeMap<Anchor, Identity>,
        mut matches: Matches,
    ) {
        {
            let taken = |anchor: &Anchor| self.identity_of(world.spaces, anchor).is_some();
            let changed = |anchor: &Anchor| world.memory.anchor_changes.get(anchor).cloned();
            let against = Against {
                view: world.view,
                configuration: world.configuration,
                taken: &taken,
                changed: &changed,
            };
            let absence = |anchor: &Anchor| absence(world, anchor);
            matches.one_adopter_each();
            unique::check_domains(identities, &mut matches, against);
            unique::check(identities, &mut matches, against, &absence);
        }
        for identity in identities.values() {
            let object = self.state(identity.slot).object;
            if object != NONE {
                work.objects.insert(object);
                if world.view.owner_of(object) == Some(identity.slot) {
                    world.view.set_owner(object, None);
                }
            }
        }
        for (anchor, identity) in identities {
            self.settle(world, work, anchor, identity, &mut matches);
        }
    }

    /// Keeps what was decided of one identity.
    fn settle(
        &mut self,
        world: &mut World<'_>,
        work: &mut Work,
        anchor: &Anchor,
        identity: &Identity,
        matches: &mut Matches,
    ) {
        let slot = identity.slot;
        let found = matches.found.remove(anchor);
        let object = found
            .as_ref()
            .and_then(Found::object)
            .map(|held| held.handle);
        let standing = match &found {
            None => Standing::None,
            Some(Found::Ours(_)) => Standing::Ours,
            Some(Found::Restore(_) | Found::Adopt(_)) => Standing::Other,
            Some(Found::Create) => Standing::Create,
        };
        if let Some(object) = object {
            world.view.set_owner(object, Some(slot));
            work.objects.insert(object);
        }
        self.release(work, slot);
        for object in matches.claimed.remove(anchor).unwrap_or_default() {
            *self.claimed.entry(object).or_default() += 1;
            self.claims.entry(slot).or_default().push(object);
        }
        for kept in matches.kept.remove(anchor).unwrap_or_default() {
            *self.kept.entry(kept.clone()).or_default() += 1;
            self.keeps.entry(slot).or_default().push(kept.clone());
            work.anchors.insert(kept);
        }
        self.aside.remove(&(Stage::Match, slot));
        self.aside.remove(&(Stage::Make, slot));
        self.pending.remove(&slot);
        if let Some(obstacle) = matches.obstacles.remove(anchor) {
            let (reason, message) = (obstacle.reason, obstacle.message);
            self.aside
                .insert((Stage::Match, slot), Aside { reason, message });
        }
        let changes = found.map(|found| changes(world, identity, &found));
        let makeable = !matches!(changes, Some(Err(_)));
        match changes {
            Some(Ok(changes)) if !changes.is_empty() => {
                self.pending.insert(slot, changes);
            }
            Some(Err(aside)) => {
                self.aside.insert((Stage::Make, slot), aside);
            }
            _ => {}
        }
        let members = object.filter(|_| standing == Standing::Ours);
        let members = members.and_then(|object| world.view.members(object));
        let members = u32::try_from(members.map_or(0, <[u32]>::len)).unwrap_or(u32::MAX);
        let old = self.state(slot);
        let new = (standing, object.unwrap_or(NONE), makeable);
        if (old.standing, old.object, old.makeable) != new {
            for member in self.rings.members(slot) {
                tell_referrers(world, work, member);
            }
            work.anchors.extend(identity.joined.iter().cloned());
            work.anchors.extend(identity.former.iter().cloned());
        }
        work.references.insert(slot);
        self.memberships = self.memberships.saturating_sub(old.members as usize) + members as usize;
        let state = self.state_mut(slot);
        (state.standing, state.object, state.makeable) = new;
        state.members = members;
    }

    /// Lets go of the objects that might have been its own and of those that stayed because of it.
    pub(super) fn release(&mut self, work: &mut Work, slot: u32) {
        for object in self.claims.remove(&slot).unwrap_or_default() {
            if let Some(count) = self.claimed.get_mut(&object) {
                *count -= 1;
                if *count == 0 {
                    self.claimed.remove(&object);
                }
            }
        }
        for anchor in self.keeps.remove(&slot).unwrap_or_default() {
            if let Some(count) = self.kept.get_mut(&anchor) {
                *count -= 1;
                if *count == 0 {
                    self.kept.remove(&anchor);
                }
            }
            work.anchors.insert(anchor);
        }
    }

    pub(super) fn keys_of(&self, slot: u32) -> Vec<u32> {
        let first = self.state(slot).keys.into_iter().filter(|key| *key != NONE);
        let more = self.more_keys.get(&slot).into_iter().flatten().copied();
        first.chain(more).collect()
    }

    /// Those who want or hold a value that this one wants or holds.
    pub(super) fn neighbours(&self, world: &World<'_>, slot: u32) -> Vec<u32> {
        let keys = self.keys_of(slot).into_iter();
        keys.flat_map(|key| self.sharing(world, key))
            .filter(|other| *other != slot)
            .collect()
    }

    /// Those who want a value or hold it, by its key.
    pub(super) fn sharing(&self, world: &World<'_>, key: u32) -> Vec<u32> {
        let holders = world.view.with_value(key).into_iter();
        let marks = holders.filter_map(|object| world.view.ours(object));
        let holders = marks.flat_map(|mark| world.spaces.by_name(&mark));
        let mut all = self.keys.get(key);
        all.extend(holders.filter(|slot| self.is_identity(*slot)));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// `held`: keys of what an object with the mark of the identity holds. These are found by way of the object.
    pub(super) fn set_keys(&mut self, slot: u32, keys: &[u32], held: &[u32]) {
        for key in self.keys_of(slot) {
            self.keys.remove(key, slot);
        }
        for key in keys.iter().filter(|key| !held.contains(key)) {
            self.keys.insert(*key, slot);
        }
        let (first, more) = keys.split_at(keys.len().min(2));
        let mut own = [NONE; 2];
        own.iter_mut().zip(first).for_each(|(own, key)| *own = *key);
        self.state_mut(slot).keys = own;
        if more.is_empty() {
            self.more_keys.remove(&slot);
        } else {
            self.more_keys.insert(slot, more.to_vec());
        }
    }
}

/// The keys of the values that an identity wants and that its object holds, and of an object that is not yet its own.
fn keys(identity: &Identity, found: Option<&Found>, world: &World<'_>) -> Vec<u32> {
    let mut keys = Vec::new();
    for name in world.view.keys() {
        if let Some(Some(value)) = identity.desired.get(name) {
            let texts = texts(value).iter();
            keys.extend(texts.map(|text| value_key(identity.class, text)));
        }
    }
    if let Some(held) = found.and_then(Found::object) {
        keys.extend(world.view.value_keys_of(&held.object));
        if !matches!(found, Some(Found::Ours(held)) if held.object.mark.as_ref().is_some_and(|mark| mark.anchor == identity.anchor))
        {
            keys.push(short(hash(("object", held.handle))));
        }
    }
    keys.retain(|key| *key != NONE);
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn absence(world: &World<'_>, anchor: &Anchor) -> Absence {
    if !world.spaces.by_name(anchor).is_empty() {
        return Absence::Present;
    }
    let absences = world.memory.absences.values();
    let seen = absences
        .filter_map(|absences| absences.get(anchor))
        .any(|absence| absence.home);
    let spaces = world.spaces.connectors();
    let named = spaces.iter().any(|(_, space)| space.tombstoned(anchor));
    if seen || named {
        Absence::Explained
    } else {
        Absence::Unexplained
    }
}

/// What is to be done about the object; the error is why it cannot be made.
fn changes(
    world: &mut World<'_>,
    identity: &Identity,
    found: &Found,
) -> Result<Vec<Change>, Aside> {
    let capabilities = world.configuration.capabilities;
    let anchor = &identity.anchor;
    let mark = Mark {
        owner: world.configuration.owner.as_str().into(),
        anchor: anchor.clone(),
    };
    let rewritten = world.memory.rewritten.get(anchor);
    let (class, desired) = (identity.class, &identity.desired);
    let against = |held: &AllKept| difference(class, desired, held, capabilities, rewritten);
    Ok(match found {
        Found::Ours(held) => {
            let mut changes = against(&held.object.attributes);
            let mut all = Vec::new();
            let enabled = capabilities.enabled;
            if class == Class::User {
                let blocked = same(
                    Some(&Value::Flag(false)),
                    held.object.attributes.get(enabled),
                );
                let stays = blocked && !changes.contains_key(enabled);
                if changes.get(enabled) == Some(&Some(Value::Flag(false))) {
                    changes.remove(enabled);
                    all.push(Change::Disable);
                } else if !stays {
                    world.memory.disabling.remove(anchor);
                } else if world.memory.disabling.contains(anchor) {
                    all.push(Change::Disable);
                }
            }
            let borne = (held.object.mark.as_ref()).map(|mark| &mark.anchor);
            if borne.is_some_and(|borne| identity.former.contains(borne)) {
                // The entry that named the object has left: from now on one that stayed does.
                all.push(Change::Adopt { mark, changes });
            } else if !changes.is_empty() {
                all.push(Change::Update { changes });
            }
            all
        }
        Found::Adopt(held) => {
            let mut changes = against(&held.object.attributes);
            // Once it is ours, the guard decides on that, and the sessions are revoked with it.
            if changes.get(capabilities.enabled) == Some(&Some(Value::Flag(false))) {
                changes.remove(capabilities.enabled);
            }
            vec![Change::Adopt { mark, changes }]
        }
        Found::Restore(held) => vec![Change::Restore {
            mark,
            changes: against(&held.object.attributes),
        }],
        Found::Create => {
            let values = first_values(class, desired, capabilities);
            let missing = capabilities.attributes.iter().find(|rule| {
                rule.class == class && rule.required && !values.contains_key(rule.name)
            });
            if let Some(rule) = missing {
                return Err(Aside {
                    reason: Reason::AttributeMissing,
                    message: format!(
                        "the target needs `{}` to make the object: map it",
                        rule.name
                    ),
                });
            }
            vec![Change::Create { mark, values }]
        }
    })
}
