//! A directory for law 2 that tells what changed: in any order, value by value or whole, with tombstones or by name alone, and of a
//! renamed container only that it was renamed.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::Anchor,
    entry::{Attributes, Entry, EntryKind, ServerType},
    port::{Cause, Extent, Import, Sighting, ValueChange},
};

/// When everything begins.
pub(super) const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
pub(super) const PEOPLE: u8 = 7;
pub(super) const GROUPS: u8 = 3;
/// From here on, a member is somebody of the other forest.
pub(super) const FOREIGN: u8 = 100;
/// Staff is in scope, Service below it excluded, Team below it too, Other outside.
pub(super) const UNITS: [&str; 4] = ["Staff", "Service", "Other", "Team"];

/// The forests are this one and 0.
pub(super) const SECOND: u8 = 0x40;

#[derive(Clone, Debug)]
pub(super) struct Person {
    id: u8,
    pub(super) unit: usize,
    pub(super) name: u8,
    pub(super) mail: u8,
    pub(super) department: Option<u8>,
    pub(super) locked: bool,
    /// In quarters of an hour from [`START`].
    pub(super) expires: Option<u8>,
    pub(super) broken: bool,
    pub(super) hidden: bool,
    pub(super) deleted: bool,
    pub(super) anchor_changed: bool,
    pub(super) manager: Option<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Unit {
    base: usize,
    pub(super) name: u8,
    above: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    name: u8,
    members: BTreeSet<u8>,
    /// Since the last delta, if nothing but members changed.
    joined: BTreeSet<u8>,
    left: BTreeSet<u8>,
}

/// What a delta has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Unit(usize),
    Person(u8),
    Group(usize),
    Members(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    people: Vec<Person>,
    units: Vec<Unit>,
    groups: Vec<Group>,
    /// A renamed entry's links go with it and nobody is told; otherwise who links to it is changed too.
    follows: bool,
    tombstones: bool,
    /// Which of two forests it is: its people's anchors differ from those of the other, their addresses do not.
    forest: u8,
    changed: BTreeSet<Subject>,
}

impl Directory {
    pub(super) fn new(follows: bool, tombstones: bool, forest: u8) -> Self {
        let person = |id| Person {
            id,
            unit: usize::from(id % 4),
            name: id,
            mail: id,
            department: (id % 2 == 0).then_some(id % 4),
            locked: false,
            expires: (id % 3 == 0).then_some(2),
            broken: false,
            hidden: false,
            deleted: id == 6,
            anchor_changed: false,
            manager: (id > 0).then(|| id - 1),
        };
        let unit = |base| Unit {
            base,
            name: 0,
            above: matches!(base, 1 | 3).then_some(0),
        };
        let group = |at: u8| Group {
            name: at,
            members: [at, at + 2, PEOPLE + (at + 1) % GROUPS].into(),
            ..Group::default()
        };
        Self {
            people: (0..PEOPLE).map(person).collect(),
            units: (0..UNITS.len()).map(unit).collect(),
            groups: (0..GROUPS).map(group).collect(),
            follows,
            tombstones,
            forest,
            changed: BTreeSet::new(),
        }
    }

    fn unit_dn(&self, at: usize) -> String {
        let unit = &self.units[at];
        let own = format!("OU={}{}", UNITS[unit.base], unit.name);
        match unit.above {
            Some(above) => format!("{own},{}", self.unit_dn(above)),
            None => format!("{own},DC=x"),
        }
    }

    fn dn(&self, id: u8) -> String {
        if id >= FOREIGN {
            let id = id - FOREIGN;
            let other = SECOND ^ self.forest;
            return format!("CN=S-1-5-21-1-2-{other}-{id},CN=ForeignSecurityPrincipals,DC=x");
        }
        let Some(person) = self.people.get(usize::from(id)) else {
            let at = usize::from(id - PEOPLE);
            return format!("CN=G{at} {},{}", self.groups[at].name, self.unit_dn(0));
        };
        let unit = self.unit_dn(person.unit);
        format!("CN=P{id}\\, n{},{unit}", person.name)
    }

    fn visible(&self, id: u8) -> bool {
        let person = self.people.get(usize::from(id));
        person.is_none_or(|person| !person.hidden && !person.deleted)
    }

    /// Something about a person that is not part of his name.
    pub(super) fn edit(&mut self, id: u8, change: impl FnOnce(&mut Person)) {
        change(&mut self.people[usize::from(id)]);
        self.changed.insert(Subject::Person(id));
    }

    /// Something that may change his name, or whether he is there.
    pub(super) fn person(&mut self, id: u8, change: impl FnOnce(&mut Person)) {
        let (dn, visible) = (self.dn(id), self.visible(id));
        self.edit(id, change);
        let comes = self.visible(id) && !visible;
        let renamed = dn != self.dn(id) || visible != self.visible(id);
        if comes || renamed && !self.follows {
            self.relink(&[id]);
        }
    }

    /// Who links to these is read whole: the links are others, or come into sight.
    fn relink(&mut self, ids: &[u8]) {
        for id in ids {
            let managed = self.people.iter().filter(|one| one.manager == Some(*id));
            let managed: Vec<Subject> = managed.map(|one| Subject::Person(one.id)).collect();
            let groups = self.groups.iter().enumerate();
            let groups = groups.filter(|(_, group)| group.members.contains(id));
            for at in groups.map(|(at, _)| at).collect::<Vec<_>>() {
                self.changed.remove(&Subject::Members(at));
                self.changed.insert(Subject::Group(at));
            }
            self.changed.extend(managed);
        }
    }

    pub(super) fn member(&mut self, at: usize, member: u8, is: bool) {
        let group = &mut self.groups[at];
        let changed = if is {
            group.left.remove(&member);
            group.joined.insert(member);
            group.members.insert(member)
        } else {
            group.joined.remove(&member);
            group.left.insert(member);
            group.members.remove(&member)
        };
        if changed && !self.changed.contains(&Subject::Group(at)) {
            self.changed.insert(Subject::Members(at));
        }
    }

    pub(super) fn rename_group(&mut self, at: usize) {
        self.groups[at].name += 4;
        self.changed.insert(Subject::Group(at));
        if !self.follows {
            self.relink(&[PEOPLE + u8::try_from(at).unwrap()]);
        }
    }

    pub(super) fn unit(&mut self, at: usize, change: impl FnOnce(&mut Unit)) {
        change(&mut self.units[at]);
        self.changed.insert(Subject::Unit(at));
        self.relink_below(at);
    }

    fn relink_below(&mut self, at: usize) {
        if self.follows {
            return;
        }
        let base = self.unit_dn(at);
        let ids: Vec<u8> = (0..PEOPLE + GROUPS)
            .filter(|id| self.dn(*id).ends_with(&base))
            .collect();
        self.relink(&ids);
    }

    pub(super) fn move_unit(&mut self, at: usize, to: Option<usize>) {
        let mut above = to;
        while let Some(unit) = above {
            if unit == at {
                return;
            }
            above = self.units[unit].above;
        }
        self.unit(at, |unit| unit.above = to);
    }

    pub(super) fn swap_units(&mut self, a: usize, b: usize) {
        let below = |mut at: usize, above: usize| loop {
            if at == above {
                return true;
            }
            match self.units[at].above {
                Some(next) => at = next,
                None => return false,
            }
        };
        if below(a, b) || below(b, a) {
            return;
        }
        let (one, other) = (self.units[a].clone(), self.units[b].clone());
        self.units[a] = other;
        self.units[b] = one;
        self.changed.extend([Subject::Unit(a), Subject::Unit(b)]);
        self.relink_below(a);
        self.relink_below(b);
    }

    fn unit_entry(&self, at: usize) -> Entry {
        Entry {
            dn: self.unit_dn(at),
            kind: EntryKind::Container,
            anchor: Some(self.named(unit_guid(at))),
            alternate: None,
            attributes: Attributes::default(),
        }
    }

    /// As a server might write it in a reference: another case and another escaping.
    fn reference(&self, id: u8) -> Vec<u8> {
        self.dn(id).replace("\\,", "\\2c").to_lowercase().into()
    }

    fn person_entry(&self, id: u8) -> Entry {
        let person = &self.people[usize::from(id)];
        let mut attributes = Attributes::default();
        let mut add = |name: &str, value: String| attributes.add(name, vec![value.into_bytes()]);
        add("cn", format!("Person {id} named {}", person.name));
        add("mail", format!("p{}@x.example", person.mail));
        if let Some(department) = person.department {
            add("departmentNumber", format!("Department {department}"));
            add("employeeType", format!("Type {department}"));
        }
        if person.locked {
            add("nsAccountLock", "TRUE".to_owned());
        }
        if let Some(quarters) = person.expires {
            let at = START.checked_add(SignedDuration::from_mins(15 * i64::from(quarters)));
            add(
                "krbPrincipalExpiration",
                at.unwrap().strftime("%Y%m%d%H%M%SZ").to_string(),
            );
        }
        let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0];
        sid.extend([1, 0, 0, 0, 2, 0, 0, 0, self.forest, 0, 0, 0, id, 0, 0, 0]);
        attributes.add("objectSid", vec![sid]);
        if person.broken {
            attributes.add("l", vec![vec![0xff, 0xfe]]);
        }
        let manager = person.manager.filter(|manager| self.visible(*manager));
        if let Some(manager) = manager {
            attributes.add("manager", vec![self.reference(manager)]);
        }
        Entry {
            dn: self.dn(id),
            kind: EntryKind::User,
            anchor: Some(self.anchor(id, person.anchor_changed)),
            alternate: Some(self.guid(id)),
            attributes,
        }
    }

    fn group_entry(&self, at: usize) -> Entry {
        let group = &self.groups[at];
        let mut attributes = Attributes::default();
        attributes.add("cn", vec![format!("G{at}").into_bytes()]);
        let members = group.members.iter().filter(|id| self.visible(**id));
        let members: Vec<Vec<u8>> = members.map(|id| self.reference(*id)).collect();
        if !members.is_empty() {
            attributes.add("member", members);
        }
        Entry {
            dn: self.dn(PEOPLE + u8::try_from(at).unwrap()),
            kind: EntryKind::SecurityGroup,
            anchor: Some(self.named(group_anchor(at))),
            alternate: None,
            attributes,
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let units = (0..UNITS.len()).map(|at| self.unit_entry(at));
        let people = (0..PEOPLE).filter(|id| self.visible(*id));
        let people = people.map(|id| self.person_entry(id));
        let groups = (0..self.groups.len()).map(|at| self.group_entry(at));
        units.chain(people).chain(groups).collect()
    }

    fn begin(&self, at: Timestamp, extent: Extent) -> Import {
        Import::Begin {
            at,
            server_type: if self.follows {
                ServerType::ActiveDirectory
            } else {
                ServerType::OpenLdap
            },
            tombstones: self.tombstones,
            extent,
        }
    }

    fn buried(&self) -> Vec<Anchor> {
        let deleted = self.people.iter().filter(|person| person.deleted);
        deleted
            .flat_map(|person| {
                [
                    self.guid(person.id),
                    self.anchor(person.id, person.anchor_changed),
                ]
            })
            .collect()
    }

    pub(super) fn complete(&self, at: Timestamp) -> Vec<Import> {
        let mut events = vec![self.begin(at, Extent::Complete(Cause::First))];
        events.extend(
            self.entries()
                .chunks(3)
                .map(|batch| Import::Batch(batch.to_vec())),
        );
        if self.tombstones {
            events.push(Import::Tombstones(self.buried()));
        }
        events.push(Import::End { cursor: None });
        events
    }

    /// What changed, in an order of its own.
    pub(super) fn delta(&self, at: Timestamp, order: u64) -> Vec<Import> {
        let mut subjects: Vec<Subject> = self.changed.iter().copied().collect();
        subjects.sort_by_key(|subject| {
            let number = match subject {
                Subject::Unit(at) => 1 + *at as u64,
                Subject::Person(id) => 11 + u64::from(*id),
                Subject::Group(at) => 31 + *at as u64,
                Subject::Members(at) => 41 + *at as u64,
            };
            // Any permutation, the same each time.
            (number ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ order)
        });
        let mut events = vec![self.begin(at, Extent::Changes)];
        events.extend(subjects.into_iter().map(|subject| self.tell(subject)));
        events.push(Import::End { cursor: None });
        events
    }

    fn tell(&self, subject: Subject) -> Import {
        match subject {
            Subject::Unit(at) => Import::Batch(vec![self.unit_entry(at)]),
            Subject::Group(at) => Import::Batch(vec![self.group_entry(at)]),
            Subject::Person(id) if self.visible(id) => Import::Batch(vec![self.person_entry(id)]),
            Subject::Person(id) => {
                if self.people[usize::from(id)].deleted && self.tombstones {
                    Import::Tombstones(vec![self.guid(id)])
                } else {
                    Import::Missing(vec![self.guid(id)])
                }
            }
            Subject::Members(at) => {
                let group = &self.groups[at];
                let values = |ids: &BTreeSet<u8>| {
                    let ids = ids.iter().filter(|id| self.visible(**id));
                    ids.map(|id| self.reference(*id)).collect()
                };
                Import::Values(vec![ValueChange {
                    anchor: self.named(group_anchor(at)),
                    attribute: "member".to_owned(),
                    added: values(&group.joined),
                    removed: values(&group.left),
                }])
            }
        }
    }

    /// The delta came to its end.
    pub(super) fn told(&mut self) {
        self.changed.clear();
        for group in &mut self.groups {
            group.joined.clear();
            group.left.clear();
        }
    }

    pub(super) fn list(&self, at: Timestamp, dn: &str, cause: Cause) -> Vec<Import> {
        let dn = dn.to_owned();
        let below = |entry: &Entry| entry.dn == dn || entry.dn.ends_with(&format!(",{dn}"));
        let entries = self.entries().into_iter().filter(below).collect();
        vec![
            self.begin(
                at,
                Extent::Subtree {
                    dn: dn.clone(),
                    cause,
                },
            ),
            Import::Batch(entries),
            Import::End { cursor: None },
        ]
    }

    fn guid(&self, id: u8) -> Anchor {
        self.named(guid(id))
    }

    fn anchor(&self, id: u8, changed: bool) -> Anchor {
        self.named(anchor(id, changed))
    }

    /// As this forest names it.
    fn named(&self, anchor: Anchor) -> Anchor {
        match anchor {
            Anchor::Uuid(mut bytes) => {
                bytes[15] ^= self.forest;
                Anchor::Uuid(bytes)
            }
            text @ Anchor::Text(_) => text,
        }
    }

    /// A search by anchor that sees beyond the base.
    pub(super) fn find(&self, wanted: Anchor) -> (Vec<Entry>, Sighting) {
        let named = |entry: &Entry| {
            entry.anchor.as_ref() == Some(&wanted) || entry.alternate.as_ref() == Some(&wanted)
        };
        let entries: Vec<Entry> = self.entries().into_iter().filter(named).collect();
        let hidden = self
            .people
            .iter()
            .filter(|person| person.hidden && !person.deleted);
        let mut hidden = hidden.map(|person| self.person_entry(person.id));
        let found = !entries.is_empty() || hidden.any(|entry| named(&entry));
        let sighting = Sighting {
            anchor: wanted,
            found,
        };
        (entries, sighting)
    }
}

fn guid(id: u8) -> Anchor {
    Anchor::Uuid([id; 16])
}

fn anchor(id: u8, changed: bool) -> Anchor {
    let mut bytes = [0xaa; 16];
    bytes[0] = id;
    bytes[1] = u8::from(changed);
    Anchor::Uuid(bytes)
}

pub(super) fn group_anchor(at: usize) -> Anchor {
    let mut bytes = [0xbb; 16];
    bytes[0] = u8::try_from(at).unwrap();
    Anchor::Uuid(bytes)
}

fn unit_guid(at: usize) -> Anchor {
    let mut bytes = [0xcc; 16];
    bytes[0] = u8::try_from(at).unwrap();
    Anchor::Uuid(bytes)
}
