//! The target view: what the target holds, as last read completely, with the confirmed writes of the last ten minutes laid over it.
//!
//! Objects are numbered and packed, and found by id, mark, immutable id and by the values that matching looks for. A read without
//! its end changes nothing. What changed since the last plan is noted in the [`Seen`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::Anchor,
    entry::Class,
    fault::{Fault, planted},
    index::{Index, NONE, hash, short},
    operation::Operation,
    port::Observation,
    space::Words,
    target::{TargetId, TargetObject, Value, Values},
};

mod effect;
mod object;

use effect::Effect;
pub(crate) use effect::normal;

/// How long a confirmed write outweighs what is read.
const CONFIRMED: SignedDuration = SignedDuration::from_mins(10);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Named by others, and not read.
    #[default]
    Absent,
    Live,
    Deleted,
}

#[derive(Debug)]
struct Object {
    packed: Box<[u8]>,
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

#[derive(Debug, Default)]
struct Reading {
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
    objects: Vec<Object>,
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
    confirmed: Vec<(Timestamp, Effect)>,
    owner: String,
    /// Attributes whose values matching looks for.
    keys: BTreeSet<String>,
    enabled_attribute: &'static str,
    pub(crate) seen: Seen,
}

/// The number under which a value is found, whatever its case.
pub(crate) fn value_key(class: Class, attribute: &str, text: &str) -> u32 {
    short(hash((class, attribute, text.to_lowercase())))
}

/// The anchor in our mark; `None` for an object that is not ours.
pub(crate) fn our_anchor<'a>(object: &'a TargetObject, owner: &str) -> Option<&'a Anchor> {
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
    /// Whose marks are ours, and what matching looks for.
    pub(crate) fn configure(
        &mut self,
        owner: &str,
        keys: BTreeSet<String>,
        enabled: &'static str,
    ) {
        if self.owner == owner && self.keys == keys && self.enabled_attribute == enabled {
            return;
        }
        for handle in 0..self.count() {
            self.index(handle, false);
        }
        (self.owner, self.keys, self.enabled_attribute) = (owner.to_owned(), keys, enabled);
        for handle in 0..self.count() {
            self.index(handle, true);
        }
        self.seen.everything = true;
    }

    fn count(&self) -> u32 {
        u32::try_from(self.objects.len()).unwrap_or(NONE)
    }

    /// Takes an event of a read.
    pub(crate) fn observe(&mut self, event: Observation, now: Timestamp) {
        if matches!(event, Observation::Begin) {
            self.generation += 1;
            self.reading = Some(Reading::default());
            return;
        }
        let Some(mut reading) = self.reading.take() else {
            return;
        };
        match event {
            Observation::Begin => {}
            Observation::Domains(domains) => reading.domains = Some(domains),
            Observation::Batch(objects) => {
                for object in objects {
                    self.read(&mut reading, object, State::Live);
                }
            }
            Observation::Deleted(objects) => {
                for object in objects {
                    self.read(&mut reading, object, State::Deleted);
                }
            }
            Observation::RolesReadable(readable) => reading.roles_readable = readable,
            Observation::End => return self.end(reading, now),
        }
        self.reading = Some(reading);
    }

    fn read(&mut self, reading: &mut Reading, mut object: TargetObject, state: State) {
        if state == State::Live {
            object.attributes = object
                .attributes
                .into_iter()
                .filter_map(|(name, value)| Some((name, normal(Some(value))?)))
                .collect();
        }
        let handle = self.number(&object.id);
        let incoming = self.incoming_of(object, state);
        if let Some(object) = self.objects.get_mut(handle as usize) {
            object.seen = self.generation;
        }
        if self.current(handle).as_ref() == Some(&incoming) {
            reading.changed.remove(&handle);
        } else {
            reading.changed.insert(handle, incoming);
        }
    }

    fn end(&mut self, reading: Reading, now: Timestamp) {
        for handle in 0..self.count() {
            let gone = self.objects.get(handle as usize).is_some_and(|object| {
                object.seen < self.generation && object.state != State::Absent
            });
            if gone && let Some(id) = self.id(handle) {
                let absent = Incoming {
                    packed: object::pack_id(&id),
                    state: State::Absent,
                    manager: None,
                    members: None,
                };
                self.replace(handle, absent);
            }
        }
        for (handle, incoming) in reading.changed {
            self.replace(handle, incoming);
        }
        self.seen.everything |= !self.complete
            || self.domains != reading.domains
            || self.roles_readable != reading.roles_readable;
        (self.domains, self.roles_readable) = (reading.domains, reading.roles_readable);
        self.complete = true;
        self.confirmed
            .retain(|(at, _)| now.duration_since(*at) < CONFIRMED);
        let confirmed = std::mem::take(&mut self.confirmed);
        for (_, effect) in &confirmed {
            self.lay_over(effect);
        }
        self.confirmed = confirmed;
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
        now: Timestamp,
    ) {
        let enabled = self.enabled_attribute;
        let Some(effect) = Effect::of(operation, id, peer, held, enabled) else {
            return;
        };
        self.lay_over(&effect);
        self.confirmed.push((now, effect));
    }

    /// The target says that it is no longer there.
    pub(crate) fn forget(&mut self, id: &TargetId) {
        let absent = Incoming {
            packed: object::pack_id(id),
            state: State::Absent,
            manager: None,
            members: None,
        };
        let handle = self.number(id);
        self.replace(handle, absent);
        self.confirmed.retain(|(_, effect)| effect.object() != id);
    }

    /// The number of an id, which it gets if it has none.
    pub(crate) fn number(&mut self, id: &TargetId) -> u32 {
        if let Some(handle) = self.find(id) {
            return handle;
        }
        let handle = self.count();
        self.objects.push(Object {
            packed: object::pack_id(id),
            state: State::Absent,
            seen: 0,
            manager: NONE,
            owner: NONE,
        });
        self.by_id.insert(short(hash(id)), handle);
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
        object::id(&self.objects.get(handle as usize)?.packed)
    }

    /// A live or deleted object, without its references.
    pub(crate) fn object(&self, handle: u32) -> Option<TargetObject> {
        let object = self.objects.get(handle as usize)?;
        (object.state != State::Absent).then(|| object::unpack(&object.packed, &self.words))?
    }

    /// The anchor in our mark on a live object.
    pub(crate) fn ours(&self, handle: u32) -> Option<Anchor> {
        let object = self.objects.get(handle as usize)?;
        let (_, mark) = object::head(&object.packed, &self.words)?;
        let mark = mark.filter(|mark| *mark.owner == *self.owner || planted(Fault::OwnerIgnored));
        mark.filter(|_| object.state == State::Live)
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
        self.objects.iter_mut().for_each(|object| object.owner = NONE);
    }

    /// Attributes whose values matching looks for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// The keys of the values that matching looks for.
    pub(crate) fn value_keys_of(&self, object: &TargetObject) -> Vec<u32> {
        let values = object.attributes.iter();
        values
            .filter(|(name, _)| self.keys.contains(*name))
            .flat_map(|(name, value)| {
                let texts = texts(value).iter();
                texts.map(move |text| value_key(object.class, name, text))
            })
            .collect()
    }

    pub(crate) fn value_keys(&self, handle: u32) -> Vec<u32> {
        let object = self.object(handle);
        object.map_or(Vec::new(), |object| self.value_keys_of(&object))
    }

    /// All live objects of ours.
    pub(crate) fn all_ours(&self) -> impl Iterator<Item = (u32, Anchor)> {
        (0..self.count()).filter_map(|handle| Some((handle, self.ours(handle)?)))
    }

    /// Live objects with our mark for an anchor, by id.
    pub(crate) fn by_mark(&self, anchor: &Anchor) -> Vec<u32> {
        let found = self.by_mark.get(short(hash(anchor)));
        self.sorted(found, |view, handle| view.ours(handle).as_ref() == Some(anchor))
    }

    /// Deleted objects with our mark for an anchor, by id.
    pub(crate) fn deleted_by_mark(&self, anchor: &Anchor) -> Vec<u32> {
        let found = self.by_mark.get(short(hash(anchor)));
        self.sorted(found, |view, handle| {
            let object = view.object(handle);
            view.state(handle) == State::Deleted
                && object.is_some_and(|object| our_anchor(&object, &view.owner) == Some(anchor))
        })
    }

    /// Live objects with an immutable id, by id.
    pub(crate) fn by_immutable(&self, text: &str) -> Vec<u32> {
        let found = self.by_immutable.get(short(hash(text)));
        self.sorted(found, |view, handle| {
            let object = view.object(handle);
            object.is_some_and(|object| object.immutable_id.as_deref() == Some(text))
        })
    }

    /// Live objects that hold a value, without regard to case, by id.
    pub(crate) fn holders(&self, class: Class, attribute: &str, text: &str) -> Vec<u32> {
        let found = self.by_value.get(value_key(class, attribute, text));
        let text = text.to_lowercase();
        self.sorted(found, |view, handle| {
            view.object(handle).is_some_and(|object| {
                let value = object.attributes.get(attribute);
                let mut texts = value.map_or(&[][..], texts).iter();
                object.class == class && texts.any(|held| held.to_lowercase() == text)
            })
        })
    }

    fn sorted(&self, mut found: Vec<u32>, fits: impl Fn(&Self, u32) -> bool) -> Vec<u32> {
        found.retain(|handle| fits(self, *handle));
        if found.len() > 1 {
            found.sort_by_cached_key(|handle| self.id(*handle));
        }
        found
    }

    /// Groups and people that refer to one of these, by a look at all references.
    pub(crate) fn referring_to(&self, handles: &BTreeSet<u32>) -> Vec<u32> {
        let groups = (self.members.iter())
            .filter(|(_, members)| members.iter().any(|member| handles.contains(member)))
            .map(|(group, _)| *group);
        let people = (0..)
            .zip(&self.objects)
            .filter(|(_, object)| object.manager != NONE && handles.contains(&object.manager))
            .map(|(handle, _)| handle);
        groups.chain(people).collect()
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

    fn pack(&mut self, object: &TargetObject) -> Box<[u8]> {
        object::pack(object, &mut self.words)
    }

    fn incoming_of(&mut self, object: TargetObject, state: State) -> Incoming {
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
            packed: object.packed.clone(),
            state: object.state,
            manager: self.manager(handle),
            members: self.members(handle).map(<[u32]>::to_vec),
        })
    }

    fn replace(&mut self, handle: u32, incoming: Incoming) {
        if self.current(handle).as_ref() == Some(&incoming) {
            return;
        }
        let before = (self.ours(handle), self.state(handle));
        self.index(handle, false);
        if let Some(object) = self.objects.get_mut(handle as usize) {
            object.packed = incoming.packed;
            object.state = incoming.state;
            object.manager = incoming.manager.unwrap_or(NONE);
        }
        match incoming.members {
            Some(members) => self.members.insert(handle, members.into_boxed_slice()),
            None => self.members.remove(&handle),
        };
        self.index(handle, true);
        self.seen.objects.insert(handle);
        if before != (self.ours(handle), self.state(handle)) {
            self.seen.reborn.insert(handle);
        }
    }

    /// Puts an object into the indexes and counts, or takes it out.
    fn index(&mut self, handle: u32, into: bool) {
        let Some(object) = self.object(handle) else {
            return;
        };
        let set = |index: &mut Index, key: u32| {
            if into {
                index.insert(key, handle);
            } else {
                index.remove(key, handle);
            }
        };
        let mark = our_anchor(&object, &self.owner).cloned();
        if let Some(anchor) = &mark {
            set(&mut self.by_mark, short(hash(anchor)));
            self.seen.anchors.insert(anchor.clone());
        }
        if self.state(handle) != State::Live {
            return;
        }
        if mark.is_some() {
            let enabled = object.attributes.get(self.enabled_attribute);
            let counts = [
                (true, &mut self.managed),
                (enabled != Some(&Value::Flag(false)), &mut self.enabled),
            ];
            for (_, counts) in counts.into_iter().filter(|(counts, _)| *counts) {
                let count = counts.entry(object.class).or_default();
                *count = if into { *count + 1 } else { count.saturating_sub(1) };
            }
        }
        if let Some(id) = &object.immutable_id {
            set(&mut self.by_immutable, short(hash(id.as_str())));
            let anchors = [Anchor::from_immutable_id(id), Anchor::from_text(id)];
            self.seen.anchors.extend(anchors);
        }
        for (name, value) in &object.attributes {
            if self.keys.contains(name) {
                for text in texts(value) {
                    let key = value_key(object.class, name, text);
                    set(&mut self.by_value, key);
                    self.seen.values.insert(key);
                }
            }
        }
    }
}
