//! The target view: what the target holds, as last read completely and by the deltas since, with our confirmed writes laid over it.
//!
//! Objects are numbered and packed, and found by id, mark, immutable id and by the values that matching looks for; of most other values
//! only digests are kept. A read without its end changes nothing. What changed since the last plan is noted in the [`Seen`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    entry::Class,
    fault::{Fault, planted},
    index::{Index, NONE, hash, short},
    operation::{Change, Operation},
    overlay::{Held, Overlay, Slot},
    pieces::Pieces,
    port::{Cursor, Observation},
    record::Unkept,
    space::Words,
    target::{Capabilities, Mark, Standing, TargetId, TargetObject, Value, Values},
};

mod change;
mod find;
mod keep;
mod kept;
mod object;
mod slot;

use kept::Keeping;
pub(crate) use kept::{AllKept, DIGEST, Kept, Object, same};
use slot::normalised;
pub(crate) use slot::{normal, written};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Named by others, and not read.
    #[default]
    Absent,
    Live,
    Deleted,
}

#[derive(Debug)]
struct Record {
    state: State,
    seen: u32,
    manager: u32,
    /// The entry whose object it is.
    owner: u32,
}

/// What a read says of one object that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Incoming {
    packed: Box<[u8]>,
    state: State,
    manager: Option<u32>,
    members: Option<Vec<u32>>,
}

/// A read that has not ended.
#[derive(Debug)]
enum Reading {
    Everything(Everything),
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
struct Everything {
    changed: HashMap<u32, Incoming>,
    domains: Option<BTreeSet<String>>,
    roles_readable: bool,
}

/// What changed since the last plan.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) objects: BTreeSet<u32>,
    /// That came, went, or got another mark.
    pub(crate) reborn: BTreeSet<u32>,
    /// In marks and immutable ids, before and after.
    pub(crate) anchors: BTreeSet<Anchor>,
    /// Of values that matching looks for, before and after.
    pub(crate) values: BTreeSet<u32>,
    /// Domains or rights are others, or everything was read for the first time.
    pub(crate) everything: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TargetView {
    objects: Vec<Record>,
    packed: Pieces,
    members: HashMap<u32, Box<[u32]>>,
    words: Words,
    by_id: Index,
    by_mark: Index,
    by_immutable: Index,
    by_value: Index,
    /// Ours that are live, and those of them that may sign in, by class.
    managed: BTreeMap<Class, usize>,
    enabled: BTreeMap<Class, usize>,
    generation: u32,
    reading: Option<Reading>,
    domains: Option<BTreeSet<String>>,
    roles_readable: bool,
    complete: bool,
    cursor: Option<Cursor>,
    overlay: Overlay,
    touched: Vec<Touched>,
    owner: String,
    /// Attributes whose values matching looks for.
    keys: BTreeSet<String>,
    keeping: Keeping,
    enabled_attribute: &'static str,
    pub(crate) seen: Seen,
    /// When everything was last read.
    read_at: Option<Timestamp>,
    /// Objects that are to be kept.
    unkept: Unkept,
}

/// The number under which a value is found, whatever its case, and in whichever attribute: people often sign in with their mail address.
pub(crate) fn value_key(class: Class, text: &str) -> u32 {
    short(hash((class, text.to_lowercase())))
}

/// The anchor in our mark; `None` for an object that is not ours.
pub(crate) fn our_anchor<'a>(object: &'a Object, owner: &str) -> Option<&'a Anchor> {
    let mark = object.mark.as_ref()?;
    (*mark.owner == *owner || planted(Fault::OwnerIgnored)).then_some(&mark.anchor)
}

/// The texts in a value.
pub(crate) fn texts(value: &Value) -> &[String] {
    match value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::List(list) => list,
        Value::Flag(_) => &[],
    }
}

impl TargetView {
    /// Whose marks are ours, and what matching looks for. If that needs values of which only digests were kept, everything is to be
    /// read once more.
    pub(crate) fn configure(
        &mut self,
        owner: &str,
        keys: BTreeSet<String>,
        capabilities: &Capabilities,
    ) {
        let keeping = Keeping::new(capabilities, &keys, self.keeping.all);
        let enabled = capabilities.enabled;
        if self.owner == owner
            && self.keys == keys
            && self.keeping == keeping
            && self.enabled_attribute == enabled
        {
            return;
        }
        for handle in 0..self.count() {
            self.index(handle, false);
        }
        self.complete &= self.keeping.covers(&keeping);
        (self.owner, self.keys, self.enabled_attribute) = (owner.to_owned(), keys, enabled);
        self.keeping = keeping;
        for handle in 0..self.count() {
            self.index(handle, true);
        }
        self.seen.everything = true;
    }

    /// From now on all values are kept.
    pub(crate) fn keep_values(&mut self) {
        self.complete &= self.keeping.all;
        self.keeping.all = true;
    }

    fn count(&self) -> u32 {
        u32::try_from(self.objects.len()).unwrap_or(NONE)
    }

    /// Takes an event of a read. A read without its end changes nothing.
    pub(crate) fn observe(&mut self, event: Observation, now: Timestamp) {
        match (event, self.reading.take()) {
            (Observation::Begin { complete: true }, _) => {
                self.generation += 1;
                self.reading = Some(Reading::Everything(Everything::default()));
            }
            (Observation::Begin { complete: false }, _) => {
                self.reading = Some(Reading::Changes(Vec::new()));
            }
            (Observation::End { cursor }, Some(reading)) => self.end(reading, cursor, now),
            (event, Some(Reading::Everything(mut reading))) => {
                self.take(&mut reading, event);
                self.reading = Some(Reading::Everything(reading));
            }
            (event, Some(Reading::Changes(mut events))) => {
                events.push(event);
                self.reading = Some(Reading::Changes(events));
            }
            (_, None) => {}
        }
    }

    fn take(&mut self, reading: &mut Everything, event: Observation) {
        match event {
            Observation::Domains(domains) => reading.domains = Some(domains),
            Observation::Batch(objects) => {
                for object in objects {
                    self.read(reading, object, State::Live);
                }
            }
            Observation::Deleted(objects) => {
                for object in objects {
                    self.read(reading, object, State::Deleted);
                }
            }
            Observation::RolesReadable(readable) => reading.roles_readable = readable,
            // These are of a delta, or no content.
            Observation::Begin { .. }
            | Observation::Changed(_)
            | Observation::Removed(_)
            | Observation::End { .. } => {}
        }
    }

    fn read(&mut self, reading: &mut Everything, mut object: TargetObject, state: State) {
        if state == State::Live {
            object.attributes = normalised(object.attributes);
        }
        let handle = self.number(&object.id);
        let incoming = self.incoming_of(object.into(), state);
        if let Some(object) = self.objects.get_mut(handle as usize) {
            object.seen = self.generation;
        }
        if !self.complete {
            // Nobody has looked at the view yet.
            self.replace(handle, incoming);
        } else if self.is(handle, &incoming) {
            reading.changed.remove(&handle);
        } else {
            reading.changed.insert(handle, incoming);
        }
    }

    fn end(&mut self, reading: Reading, cursor: Option<Cursor>, now: Timestamp) {
        match reading {
            Reading::Everything(reading) => self.end_everything(reading, now),
            Reading::Changes(events) => {
                for event in events {
                    match event {
                        Observation::Changed(changes) => {
                            changes.into_iter().for_each(|change| self.change(change));
                        }
                        Observation::Removed(removals) => {
                            removals.iter().for_each(|removal| self.remove(removal));
                        }
                        event => self.add(event),
                    }
                }
                for (id, slot, said) in self.overlay.expire(now) {
                    self.put(&id, slot, said);
                }
            }
        }
        self.cursor = cursor;
    }

    /// What a delta brings whole.
    fn add(&mut self, event: Observation) {
        let mut brought = Everything {
            domains: self.domains.take(),
            roles_readable: self.roles_readable,
            changed: HashMap::new(),
        };
        let before = (brought.domains.clone(), brought.roles_readable);
        self.take(&mut brought, event);
        for (handle, incoming) in brought.changed {
            self.replace(handle, incoming);
        }
        self.seen.everything |= before != (brought.domains.clone(), brought.roles_readable);
        (self.domains, self.roles_readable) = (brought.domains, brought.roles_readable);
    }

    fn end_everything(&mut self, reading: Everything, now: Timestamp) {
        let gone = |object: &Record| object.seen < self.generation && object.state != State::Absent;
        let gone: Vec<u32> = (0..)
            .zip(&self.objects)
            .filter(|(_, object)| gone(object))
            .map(|(handle, _)| handle)
            .collect();
        let others = gone.iter().chain(reading.changed.keys());
        let live = others.filter(|handle| self.complete && self.state(**handle) == State::Live);
        let before = live.filter_map(|handle| Some((*handle, self.whole(*handle)?)));
        let mut before: Vec<(u32, Object)> = before.collect();
        before.retain(|(_, object)| object.mark.is_some());
        before.sort_by(|a, b| a.1.id.cmp(&b.1.id));
        for handle in gone {
            self.remove_object(handle);
        }
        for (handle, incoming) in reading.changed {
            self.replace(handle, incoming);
        }
        self.seen.everything |= !self.complete
            || self.domains != reading.domains
            || self.roles_readable != reading.roles_readable;
        (self.domains, self.roles_readable) = (reading.domains, reading.roles_readable);
        (self.complete, self.read_at) = (true, Some(now));
        self.overlay.expire(now);
        let overlay = std::mem::take(&mut self.overlay);
        for object in overlay.objects() {
            self.add_if_missing(object);
        }
        for (id, slot, wrote) in overlay.writes() {
            self.set(id, slot, wrote.clone());
        }
        self.overlay = overlay;
        self.compare(before);
    }

    fn add_if_missing(&mut self, object: &TargetObject) {
        let handle = self.number(&object.id);
        if self.state(handle) != State::Live {
            let incoming = self.incoming_of(object.clone().into(), State::Live);
            self.replace(handle, incoming);
        }
    }

    fn remove_object(&mut self, handle: u32) {
        if let Some(id) = self.id(handle) {
            let absent = Incoming {
                packed: object::pack_id(&id),
                state: State::Absent,
                manager: None,
                members: None,
            };
            self.replace(handle, absent);
        }
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
                manager: None,
                members: Some(Vec::new()),
                standing: Standing::default(),
                class: operation.class,
                id,
            };
            self.add_if_missing(&object);
            self.overlay.created(object, now);
            return;
        }
        for (slot, wrote) in written(operation, peer, held, enabled) {
            let before = self.held(&id, &slot);
            self.set(&id, &slot, wrote.clone());
            self.overlay.wrote(&id, slot, wrote, before, now);
        }
    }

    /// The target says that it is no longer there.
    pub(crate) fn forget(&mut self, id: &TargetId) {
        let handle = self.number(id);
        self.remove_object(handle);
        self.overlay.forget(id);
    }

    /// A live or deleted object with its references.
    pub(crate) fn whole(&self, handle: u32) -> Option<Object> {
        let mut object = self.object(handle)?;
        object.manager = self.manager(handle).and_then(|manager| self.id(manager));
        let members = self.members(handle);
        object.members = members.map(|all| all.iter().filter_map(|it| self.id(*it)).collect());
        Some(object)
    }

    #[cfg(test)]
    fn deleted(&self) -> impl Iterator<Item = u32> {
        (0..self.count()).filter(|handle| self.state(*handle) == State::Deleted)
    }

    #[cfg(test)]
    fn get(&self, id: &TargetId) -> Option<Object> {
        let handle = self.find(id)?;
        let mut object = self.whole(handle)?;
        object.members.iter_mut().for_each(|members| members.sort());
        (self.state(handle) == State::Live).then_some(object)
    }

    /// The number of an id, which it gets if it has none.
    pub(crate) fn number(&mut self, id: &TargetId) -> u32 {
        if let Some(handle) = self.find(id) {
            return handle;
        }
        let handle = self.count();
        self.packed.set(handle, &object::pack_id(id));
        self.objects.push(Record {
            state: State::Absent,
            seen: 0,
            manager: NONE,
            owner: NONE,
        });
        self.by_id.insert(short(hash(id)), handle);
        self.unkept.insert(handle);
        handle
    }

    pub(crate) fn find(&self, id: &TargetId) -> Option<u32> {
        let mut found = self.by_id.get(short(hash(id))).into_iter();
        found.find(|handle| self.id(*handle).as_ref() == Some(id))
    }

    pub(crate) fn state(&self, handle: u32) -> State {
        let object = self.objects.get(handle as usize);
        object.map_or(State::Absent, |object| object.state)
    }

    pub(crate) fn id(&self, handle: u32) -> Option<TargetId> {
        object::id(self.packed.get(handle))
    }

    /// A live or deleted object, without its references.
    pub(crate) fn object(&self, handle: u32) -> Option<Object> {
        let packed = self.packed.get(handle);
        (self.state(handle) != State::Absent).then(|| object::unpack(packed, &self.words))?
    }

    /// The anchor in our mark on a live object.
    pub(crate) fn ours(&self, handle: u32) -> Option<Anchor> {
        let (_, mark) = object::head(self.packed.get(handle), &self.words)?;
        let mark = mark.filter(|mark| *mark.owner == *self.owner || planted(Fault::OwnerIgnored));
        mark.filter(|_| self.state(handle) == State::Live)
            .map(|mark| mark.anchor)
    }

    /// The members of a live group, if they were read.
    pub(crate) fn members(&self, handle: u32) -> Option<&[u32]> {
        self.members.get(&handle).map(|members| &**members)
    }

    pub(crate) fn manager(&self, handle: u32) -> Option<u32> {
        let manager = self.objects.get(handle as usize)?.manager;
        (manager != NONE).then_some(manager)
    }

    /// The entry whose object it is.
    pub(crate) fn owner_of(&self, handle: u32) -> Option<u32> {
        let owner = self.objects.get(handle as usize)?.owner;
        (owner != NONE).then_some(owner)
    }

    pub(crate) fn set_owner(&mut self, handle: u32, owner: Option<u32>) {
        if let Some(object) = self.objects.get_mut(handle as usize) {
            object.owner = owner.unwrap_or(NONE);
        }
    }

    /// No object has an owner any more.
    pub(crate) fn disown(&mut self) {
        self.objects
            .iter_mut()
            .for_each(|object| object.owner = NONE);
    }

    /// Live objects of ours, and those that may sign in, by class.
    pub(crate) fn managed(&self) -> (&BTreeMap<Class, usize>, &BTreeMap<Class, usize>) {
        (&self.managed, &self.enabled)
    }

    /// `None` where the target knows no domains.
    pub(crate) fn domains(&self) -> Option<&BTreeSet<String>> {
        self.domains.as_ref()
    }

    pub(crate) fn roles_readable(&self) -> bool {
        self.roles_readable
    }

    fn pack(&mut self, object: &Object) -> Box<[u8]> {
        object::pack(object, &self.keeping, &mut self.words)
    }

    fn incoming_of(&mut self, object: Object, state: State) -> Incoming {
        let packed = self.pack(&object);
        let manager = object.manager.as_ref().map(|id| self.number(id));
        let members = object.members.as_ref();
        let members = members.map(|ids| ids.iter().map(|id| self.number(id)).collect());
        Incoming {
            packed,
            state,
            manager,
            members,
        }
    }

    fn current(&self, handle: u32) -> Option<Incoming> {
        let object = self.objects.get(handle as usize)?;
        Some(Incoming {
            packed: self.packed.get(handle).into(),
            state: object.state,
            manager: self.manager(handle),
            members: self.members(handle).map(<[u32]>::to_vec),
        })
    }

    /// Whether the object is so already.
    fn is(&self, handle: u32, incoming: &Incoming) -> bool {
        self.objects.get(handle as usize).is_some_and(|object| {
            *self.packed.get(handle) == *incoming.packed
                && object.state == incoming.state
                && self.manager(handle) == incoming.manager
                && self.members(handle) == incoming.members.as_deref()
        })
    }

    fn replace(&mut self, handle: u32, incoming: Incoming) {
        if self.is(handle, &incoming) {
            return;
        }
        let before = (self.ours(handle), self.state(handle));
        self.index(handle, false);
        if let Some(object) = self.objects.get_mut(handle as usize) {
            object.state = incoming.state;
            object.manager = incoming.manager.unwrap_or(NONE);
        }
        self.packed.set(handle, &incoming.packed);
        match incoming.members {
            Some(members) => self.members.insert(handle, members.into_boxed_slice()),
            None => self.members.remove(&handle),
        };
        self.index(handle, true);
        self.unkept.insert(handle);
        if !self.complete || self.seen.everything {
            return;
        }
        self.seen.objects.insert(handle);
        if before != (self.ours(handle), self.state(handle)) {
            self.seen.reborn.insert(handle);
        }
    }
}

#[cfg(test)]
mod tests;
