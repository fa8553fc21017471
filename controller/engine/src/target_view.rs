//! The target view: what the target holds, as last read completely and by the deltas since, with our confirmed writes laid over it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    entry::Class,
    fault::{Fault, planted},
    operation::{Change, Member, Operation},
    overlay::{Held, Overlay, Slot},
    port::{Cursor, News, ObjectChange, Observation, Removal},
    target::{Changes, Mark, Standing, TargetId, TargetObject, Value, Values},
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TargetView {
    current: Content,
    incoming: Option<Incoming>,
    complete: bool,
    cursor: Option<Cursor>,
    overlay: Overlay,
    touched: Vec<Touched>,
}

/// A read that has not ended.
#[derive(Debug)]
enum Incoming {
    Everything(Content),
    Changes(Vec<Observation>),
}

/// Something about an object with a mark that someone else changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) mark: Mark,
    pub(crate) slot: Slot,
    pub(crate) before: Held,
}

#[derive(Debug, Default)]
struct Content {
    live: BTreeMap<TargetId, TargetObject>,
    deleted: BTreeMap<TargetId, TargetObject>,
    domains: Option<BTreeSet<String>>,
    roles_readable: bool,
}

impl TargetView {
    /// Takes an event of a read. A read without its end changes nothing.
    pub(crate) fn observe(&mut self, event: Observation, now: Timestamp) {
        match (event, &mut self.incoming) {
            (Observation::Begin { complete: true }, incoming) => {
                *incoming = Some(Incoming::Everything(Content::default()));
            }
            (Observation::Begin { complete: false }, incoming) => {
                *incoming = Some(Incoming::Changes(Vec::new()));
            }
            (Observation::End { cursor }, Some(_)) => self.end(cursor, now),
            (event, Some(Incoming::Everything(content))) => content.take(event),
            (event, Some(Incoming::Changes(events))) => events.push(event),
            (_, None) => {}
        }
    }

    fn end(&mut self, cursor: Option<Cursor>, now: Timestamp) {
        match self.incoming.take() {
            Some(Incoming::Everything(content)) => {
                let before = std::mem::replace(&mut self.current, content);
                self.overlay.expire(now);
                for object in self.overlay.objects() {
                    self.current.add_if_missing(object);
                }
                for (id, slot, wrote) in self.overlay.writes() {
                    self.current.set(id, slot, wrote.clone());
                }
                if self.complete {
                    self.compare(&before);
                }
                self.complete = true;
            }
            Some(Incoming::Changes(events)) => {
                for event in events {
                    match event {
                        Observation::Changed(changes) => {
                            changes.into_iter().for_each(|change| self.change(change));
                        }
                        Observation::Removed(removals) => {
                            removals.iter().for_each(|removal| self.remove(removal));
                        }
                        event => self.current.take(event),
                    }
                }
                for (id, slot, said) in self.overlay.expire(now) {
                    self.put(&id, slot, said);
                }
            }
            None => return,
        }
        self.cursor = cursor;
    }

    /// From where the next read can go on.
    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref().filter(|_| self.complete)
    }

    /// What others changed of objects with a mark since this was last asked.
    pub(crate) fn touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    /// The target has been read completely at least once.
    pub(crate) fn complete(&self) -> bool {
        self.complete
    }

    fn change(&mut self, change: ObjectChange) {
        let id = change.id;
        if !self.current.live.contains_key(&id) {
            // It says nothing of the object itself: no sign that it is there, nor that it is a user or group.
            if change.attributes.is_empty() {
                return;
            }
            if !self.overlay.is_news(&id, &Slot::Live, &Held::Flag(true)) {
                return;
            }
            if self.current.deleted.contains_key(&id) {
                self.put(&id, Slot::Live, Held::Flag(true));
            } else {
                let object = TargetObject::blank(change.class, id.clone());
                self.current.live.insert(id.clone(), object);
            }
        }
        // The mark first: what else changed is known by it.
        if let News::Now(mark) = change.mark {
            self.say(&id, Slot::Mark, Held::Mark(mark));
        }
        if let News::Now(text) = change.immutable_id {
            self.say(&id, Slot::ImmutableId, Held::Text(text));
        }
        for (name, value) in change.attributes {
            let value = Held::Value(normal(value));
            self.say(&id, Slot::Attribute(name), value);
        }
        if let News::Now(manager) = change.manager {
            self.say(&id, Slot::Manager, Held::Link(manager));
        }
        if let (News::Now(members), Some(object)) = (change.members, self.current.live.get_mut(&id))
        {
            object.members = Some(members);
            for (known, slot, wrote) in self.overlay.writes() {
                if *known == id && matches!(slot, Slot::Member(_)) {
                    self.current.set(known, slot, wrote.clone());
                }
            }
        }
        if let Some(object) = self.current.live.get_mut(&id) {
            for (news, flag) in [
                (change.synced, &mut object.standing.synced),
                (change.guest, &mut object.standing.guest),
                (change.privileged, &mut object.standing.privileged),
            ] {
                if let News::Now(now) = news {
                    *flag = now;
                }
            }
        }
        self.links(&id, &change.joined, true);
        self.links(&id, &change.left, false);
    }

    fn remove(&mut self, removal: &Removal) {
        let id = &removal.id;
        if self.current.live.contains_key(id) {
            self.say(id, Slot::Live, Held::Flag(false));
        }
        if !removal.restorable {
            self.current.deleted.remove(id);
        }
    }

    /// Takes over what a delta says of one slot, unless it is stale.
    fn say(&mut self, id: &TargetId, slot: Slot, said: Held) {
        if self.overlay.is_news(id, &slot, &said) {
            self.put(id, slot, said);
        }
    }

    fn put(&mut self, id: &TargetId, slot: Slot, held: Held) {
        let before = self.current.get(id, &slot);
        if before.as_ref() == Some(&held) {
            return;
        }
        let object = self.current.object(id);
        let touched = object
            .zip(before)
            .and_then(|(object, before)| object.touched(slot.clone(), before));
        self.touched.extend(touched);
        self.current.set(id, &slot, held);
    }

    /// Links of a large group come many at a time.
    fn links(&mut self, id: &TargetId, peers: &[TargetId], joined: bool) {
        let Some(object) = self.current.live.get_mut(id) else {
            return;
        };
        let Some(members) = &mut object.members else {
            return;
        };
        let mut held: BTreeSet<TargetId> = members.drain(..).collect();
        let mut slots = Vec::new();
        for peer in peers {
            let slot = Slot::Member(peer.clone());
            let news = self.overlay.is_news(id, &slot, &Held::Flag(joined));
            let differs = news
                && (if joined {
                    held.insert(peer.clone())
                } else {
                    held.remove(peer)
                });
            if differs {
                slots.push(slot);
            }
        }
        members.extend(held);
        let before = Held::Flag(!joined);
        let touched = slots
            .into_iter()
            .filter_map(|slot| object.touched(slot, before.clone()));
        self.touched.extend(touched);
    }

    /// Notes what differs of objects with a mark between an earlier complete view and this one.
    fn compare(&mut self, before: &Content) {
        let marked = before.live.values().filter(|object| object.mark.is_some());
        for old in marked {
            let slots = match self.current.live.get(&old.id) {
                Some(new) => differing(old, new),
                None => vec![Slot::Live],
            };
            let touched = slots.into_iter().filter_map(|slot| {
                let held = before.get(&old.id, &slot)?;
                old.touched(slot, held)
            });
            self.touched.extend(touched);
        }
    }

    /// Lays a successful write over the view. `id` is the object's; `peer` the member's or manager's; `held` what the target made of
    /// the values that were sent.
    pub(crate) fn confirm(
        &mut self,
        operation: &Operation,
        id: TargetId,
        peer: Option<TargetId>,
        held: &Values,
        enabled: &str,
        now: Timestamp,
    ) {
        if let Change::Create { mark, values } = &operation.change {
            let mut attributes = values.clone();
            attributes.extend(held.clone());
            let user = operation.class == Class::User;
            let object = TargetObject {
                mark: Some(mark.clone()),
                immutable_id: user.then(|| operation.anchor.immutable_id()),
                attributes: normalised(attributes),
                members: Some(Vec::new()),
                ..TargetObject::blank(operation.class, id)
            };
            self.current.add_if_missing(&object);
            self.overlay.created(object, now);
            return;
        }
        for (slot, wrote) in written(operation, peer, held, enabled) {
            let before = self.current.get(&id, &slot);
            self.current.set(&id, &slot, wrote.clone());
            self.overlay.wrote(&id, slot, wrote, before, now);
        }
    }

    /// The target says that it is no longer there.
    pub(crate) fn forget(&mut self, id: &TargetId) {
        self.current.live.remove(id);
        self.current.deleted.remove(id);
        self.overlay.forget(id);
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &TargetObject> {
        self.current.live.values()
    }

    pub(crate) fn get(&self, id: &TargetId) -> Option<&TargetObject> {
        self.current.live.get(id)
    }

    pub(crate) fn deleted(&self) -> impl Iterator<Item = &TargetObject> {
        self.current.deleted.values()
    }

    /// `None` where the target knows no domains.
    pub(crate) fn domains(&self) -> Option<&BTreeSet<String>> {
        self.current.domains.as_ref()
    }

    pub(crate) fn roles_readable(&self) -> bool {
        self.current.roles_readable
    }
}

/// The anchor in our mark; `None` for an object that is not ours.
pub(crate) fn our_anchor<'a>(object: &'a TargetObject, owner: &str) -> Option<&'a Anchor> {
    let mark = object.mark.as_ref()?;
    (*mark.owner == *owner || planted(Fault::OwnerIgnored)).then_some(&mark.anchor)
}

/// What a successful operation makes of its object.
pub(crate) fn written(
    operation: &Operation,
    peer: Option<TargetId>,
    held: &Values,
    enabled: &str,
) -> Vec<(Slot, Held)> {
    let attributes = |changes: &Changes| {
        let mut changes = changes.clone();
        changes.extend(
            held.iter()
                .map(|(name, value)| (name.clone(), Some(value.clone()))),
        );
        let slots = changes.into_iter();
        slots
            .map(|(name, value)| (Slot::Attribute(name), Held::Value(normal(value))))
            .collect::<Vec<_>>()
    };
    let user = operation.class == Class::User;
    match &operation.change {
        Change::Restore { mark, changes } | Change::Adopt { mark, changes } => {
            let immutable_id = user.then(|| operation.anchor.immutable_id());
            let mut slots = vec![
                (Slot::Live, Held::Flag(true)),
                (Slot::Mark, Held::Mark(Some(mark.clone()))),
                (Slot::ImmutableId, Held::Text(immutable_id)),
            ];
            slots.extend(attributes(changes));
            slots
        }
        Change::Update { changes } => attributes(changes),
        Change::Disable => attributes(&Changes::from([(
            enabled.to_owned(),
            Some(Value::Flag(false)),
        )])),
        Change::SetManager { manager } if manager.is_none() || peer.is_some() => {
            vec![(Slot::Manager, Held::Link(peer))]
        }
        Change::Delete => vec![(Slot::Live, Held::Flag(false))],
        Change::RemoveMember {
            member: Member::Foreign(id),
        } => vec![(Slot::Member(id.clone()), Held::Flag(false))],
        Change::AddMember { .. } | Change::RemoveMember { .. } => {
            let joined = matches!(operation.change, Change::AddMember { .. });
            let slot = peer.map(|peer| (Slot::Member(peer), Held::Flag(joined)));
            slot.into_iter().collect()
        }
        // A create makes a whole object; a manager that is not known is seen with the next read.
        Change::Create { .. } | Change::SetManager { .. } => Vec::new(),
    }
}

/// In which slots two states of one object differ, as far as both are known.
fn differing(old: &TargetObject, new: &TargetObject) -> Vec<Slot> {
    let names: BTreeSet<&String> = (old.attributes.keys())
        .chain(new.attributes.keys())
        .collect();
    let mut slots: Vec<Slot> = names
        .into_iter()
        .filter(|name| old.attributes.get(*name) != new.attributes.get(*name))
        .map(|name| Slot::Attribute(name.clone()))
        .collect();
    if old.manager != new.manager {
        slots.push(Slot::Manager);
    }
    if let (Some(old), Some(new)) = (&old.members, &new.members) {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
        let links = old.symmetric_difference(&new);
        slots.extend(links.map(|id| Slot::Member((*id).clone())));
    }
    slots
}

impl TargetObject {
    /// An object of which nothing else is known.
    fn blank(class: Class, id: TargetId) -> Self {
        Self {
            id,
            class,
            mark: None,
            immutable_id: None,
            attributes: Values::new(),
            manager: None,
            members: None,
            standing: Standing::default(),
        }
    }

    fn touched(&self, slot: Slot, before: Held) -> Option<Touched> {
        Some(Touched {
            mark: self.mark.clone()?,
            slot,
            before,
        })
    }
}

impl Content {
    fn take(&mut self, event: Observation) {
        match event {
            Observation::Domains(domains) => self.domains = Some(domains),
            Observation::Batch(objects) => {
                for mut object in objects {
                    object.attributes = normalised(object.attributes);
                    self.live.insert(object.id.clone(), object);
                }
            }
            Observation::Deleted(objects) => {
                let objects = objects.into_iter();
                self.deleted
                    .extend(objects.map(|object| (object.id.clone(), object)));
            }
            Observation::RolesReadable(readable) => self.roles_readable = readable,
            // These are of a delta, or no content.
            Observation::Begin { .. }
            | Observation::Changed(_)
            | Observation::Removed(_)
            | Observation::End { .. } => {}
        }
    }

    fn add_if_missing(&mut self, object: &TargetObject) {
        self.deleted.remove(&object.id);
        let slot = self.live.entry(object.id.clone());
        slot.or_insert_with(|| object.clone());
    }

    fn object(&self, id: &TargetId) -> Option<&TargetObject> {
        self.live.get(id).or_else(|| self.deleted.get(id))
    }

    /// `None` where it is not known.
    fn get(&self, id: &TargetId, slot: &Slot) -> Option<Held> {
        let object = self.object(id)?;
        Some(match slot {
            Slot::Live => Held::Flag(self.live.contains_key(id)),
            Slot::Mark => Held::Mark(object.mark.clone()),
            Slot::ImmutableId => Held::Text(object.immutable_id.clone()),
            Slot::Attribute(name) => Held::Value(object.attributes.get(name).cloned()),
            Slot::Manager => Held::Link(object.manager.clone()),
            Slot::Member(peer) => Held::Flag(object.members.as_ref()?.contains(peer)),
        })
    }

    fn set(&mut self, id: &TargetId, slot: &Slot, held: Held) {
        match (slot, &held) {
            (Slot::Live, Held::Flag(true)) => {
                if let Some(object) = self.deleted.remove(id) {
                    self.live.entry(id.clone()).or_insert(object);
                }
                return;
            }
            (Slot::Live, _) => {
                let removed = self.live.remove(id);
                if let Some(object) = removed.filter(|object| object.mark.is_some()) {
                    self.deleted.insert(id.clone(), object);
                }
                return;
            }
            _ => {}
        }
        let Some(object) = self.live.get_mut(id) else {
            return;
        };
        match (slot, held) {
            (Slot::Mark, Held::Mark(mark)) => object.mark = mark,
            (Slot::ImmutableId, Held::Text(text)) => object.immutable_id = text,
            (Slot::Attribute(name), Held::Value(Some(value))) => {
                object.attributes.insert(name.clone(), value);
            }
            (Slot::Attribute(name), Held::Value(None)) => drop(object.attributes.remove(name)),
            (Slot::Manager, Held::Link(manager)) => object.manager = manager,
            (Slot::Member(peer), Held::Flag(joined)) => {
                if let Some(members) = &mut object.members {
                    members.retain(|id| id != peer);
                    members.extend(joined.then(|| peer.clone()));
                }
            }
            _ => {}
        }
    }
}

fn normalised(values: Values) -> Values {
    let values = values.into_iter();
    values
        .filter_map(|(name, value)| Some((name, normal(Some(value))?)))
        .collect()
}

/// Lists sorted and without duplicates; an empty text or list is no value.
pub(crate) fn normal(value: Option<Value>) -> Option<Value> {
    match value? {
        Value::Text(text) if text.is_empty() => None,
        Value::List(mut list) => {
            list.sort();
            list.dedup();
            (!list.is_empty()).then_some(Value::List(list))
        }
        value => Some(value),
    }
}

#[cfg(test)]
mod tests;
