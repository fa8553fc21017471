//! A directory for the laws: people, groups and OUs that are edited, moved, renamed, hidden and deleted, and read whole or cut.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    entry::{Attributes, Entry, EntryKind, ServerType},
    port::{Cause, Extent, Import, Sighting},
};

pub(super) const PEOPLE: u8 = 8;
pub(super) const GROUPS: u8 = 3;
/// Staff is in scope, Service below it excluded, Other outside.
pub(super) const UNITS: [&str; 3] = ["Staff", "Service", "Other"];

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) id: u8,
    pub(super) unit: usize,
    pub(super) name: u8,
    pub(super) mail: u8,
    pub(super) department: Option<u8>,
    pub(super) locked: bool,
    pub(super) broken: bool,
    pub(super) hidden: bool,
    pub(super) deleted: bool,
    /// Another value of the anchor attribute than at first.
    pub(super) anchor_changed: bool,
    pub(super) manager: Option<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) people: Vec<Person>,
    /// Members of each group; a number beyond the people is a group.
    pub(super) groups: Vec<BTreeSet<u8>>,
    pub(super) unit_names: [u8; 3],
    pub(super) hidden_units: [bool; 3],
    /// The account can read tombstones.
    pub(super) tombstones: bool,
}

impl Directory {
    pub(super) fn new(tombstones: bool) -> Self {
        let person = |id| Person {
            id,
            unit: 0,
            name: id,
            mail: id,
            department: (id % 2 == 0).then_some(id),
            locked: id == 3,
            broken: false,
            hidden: false,
            deleted: false,
            anchor_changed: false,
            manager: (id > 0).then(|| id - 1),
        };
        Self {
            people: (0..PEOPLE).map(person).collect(),
            groups: (0..GROUPS).map(|at| (at..at + 4).collect()).collect(),
            unit_names: [0; 3],
            hidden_units: [false; 3],
            tombstones,
        }
    }

    fn unit_dn(&self, unit: usize) -> String {
        let own = |at: usize| format!("OU={}{}", UNITS[at], self.unit_names[at]);
        match unit {
            1 => format!("{},{},DC=x", own(1), own(0)),
            at => format!("{},DC=x", own(at)),
        }
    }

    /// Itself, or the unit that it lies in.
    fn unit_is_hidden(&self, unit: usize) -> bool {
        self.hidden_units[unit] || unit == 1 && self.hidden_units[0]
    }

    pub(super) fn visible(&self, person: &Person) -> bool {
        let hidden = person.hidden || self.unit_is_hidden(person.unit);
        !person.deleted && !hidden
    }

    fn dn(&self, person: &Person) -> String {
        format!(
            "CN=P{}\\, n{},{}",
            person.id,
            person.name,
            self.unit_dn(person.unit)
        )
    }

    /// As a server might write it in a reference: another case and another escaping.
    fn reference(&self, id: u8) -> String {
        match self.people.get(usize::from(id)) {
            Some(person) => self.dn(person).replace("\\,", "\\2c").to_lowercase(),
            None => format!("cn=g{},{}", id - PEOPLE, self.unit_dn(0)),
        }
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for unit in 0..UNITS.len() {
            if !self.unit_is_hidden(unit) {
                entries.push(Entry {
                    dn: self.unit_dn(unit),
                    kind: EntryKind::Container,
                    anchor: Some(unit_guid(unit)),
                    alternate: None,
                    attributes: Attributes::default(),
                });
            }
        }
        for person in self.people.iter().filter(|person| self.visible(person)) {
            let mut attributes = Attributes::default();
            let mut add =
                |name: &str, value: String| attributes.add(name, vec![value.into_bytes()]);
            add("cn", format!("Person {} named {}", person.id, person.name));
            add("mail", format!("p{}@x.example", person.mail));
            add("title", "unmapped".to_owned());
            if let Some(department) = person.department {
                add("departmentNumber", format!("Department {department}"));
                add("employeeType", format!("Type {department}"));
            }
            if person.locked {
                add("nsAccountLock", "TRUE".to_owned());
            }
            // Members outlive people in some servers: a manager may dangle.
            if let Some(manager) = person.manager {
                add("manager", self.reference(manager));
            }
            if person.broken {
                attributes.add("l", vec![vec![0xff, 0xfe]]);
            }
            entries.push(Entry {
                dn: self.dn(person),
                kind: EntryKind::User,
                anchor: Some(anchor(person.id, person.anchor_changed)),
                alternate: Some(guid(person.id)),
                attributes,
            });
        }
        if !self.hidden_units[0] {
            for (at, members) in self.groups.iter().enumerate() {
                let mut attributes = Attributes::default();
                attributes.add("cn", vec![format!("G{at}").into_bytes()]);
                let members = members.iter().map(|id| self.reference(*id).into_bytes());
                attributes.add("member", members.collect());
                entries.push(Entry {
                    dn: format!("CN=G{at},{}", self.unit_dn(0)),
                    kind: EntryKind::SecurityGroup,
                    anchor: Some(group_anchor(at)),
                    alternate: None,
                    attributes,
                });
            }
        }
        entries
    }

    /// The events of a read, which is cut after `cut` entries.
    pub(super) fn read(&self, at: Timestamp, cut: Option<usize>) -> Vec<Import> {
        let mut events = vec![Import::Begin {
            at,
            server_type: ServerType::Generic,
            tombstones: self.tombstones,
            extent: Extent::Complete(Cause::First),
        }];
        let mut entries = self.entries();
        if let Some(cut) = cut {
            entries.truncate(cut);
        }
        events.extend(entries.chunks(3).map(|batch| Import::Batch(batch.to_vec())));
        if cut.is_none() {
            if self.tombstones {
                let deleted = self.people.iter().filter(|person| person.deleted);
                let named = deleted
                    .flat_map(|person| [guid(person.id), anchor(person.id, person.anchor_changed)]);
                events.push(Import::Tombstones(named.collect()));
            }
            events.push(Import::End { cursor: None });
        }
        events
    }

    /// A search by anchor, by someone who sees what a read sees.
    pub(super) fn find(&self, wanted: Anchor) -> Sighting {
        let found = self.entries().iter().any(|entry| {
            entry.anchor.as_ref() == Some(&wanted) || entry.alternate.as_ref() == Some(&wanted)
        });
        Sighting {
            anchor: wanted,
            found,
        }
    }
}

pub(super) fn guid(id: u8) -> Anchor {
    Anchor::Uuid([id; 16])
}

pub(super) fn anchor(id: u8, changed: bool) -> Anchor {
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
