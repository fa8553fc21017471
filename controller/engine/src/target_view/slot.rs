//! One thing about one object: what the view holds in a slot, what a write puts there, and where two states of an object differ.

use std::collections::BTreeSet;

use super::{Incoming, Kept, Object, State, TargetView, Touched};
use crate::{
    entry::Class,
    operation::{Change, Member, Operation},
    overlay::{Held, Slot},
    target::{Changes, TargetId, Value, Values},
};

impl TargetView {
    /// `None` where it is not known.
    pub(super) fn held(&self, id: &TargetId, slot: &Slot) -> Option<Held> {
        let handle = self.find(id)?;
        let object = self.object(handle)?;
        Some(match slot {
            Slot::Live => Held::Flag(self.state(handle) == State::Live),
            Slot::Mark => Held::Mark(object.mark),
            Slot::ImmutableId => Held::Text(object.immutable_id),
            Slot::Attribute(name) => Held::Value(object.attributes.get(name).cloned()),
            Slot::Manager => Held::Link(self.manager(handle).and_then(|it| self.id(it))),
            Slot::Member(peer) => {
                let peer = self.find(peer);
                let members = self.members(handle)?;
                Held::Flag(peer.is_some_and(|peer| members.contains(&peer)))
            }
        })
    }

    pub(super) fn set(&mut self, id: &TargetId, slot: &Slot, held: Held) {
        match (slot, held) {
            (Slot::Live, Held::Flag(true)) => self.edit(id, |_, state| {
                if *state == State::Deleted {
                    *state = State::Live;
                }
            }),
            (Slot::Live, _) => self.edit(id, |object, state| {
                if *state == State::Live {
                    *state = match object.mark {
                        Some(_) => State::Deleted,
                        None => State::Absent,
                    };
                }
            }),
            (Slot::Mark, Held::Mark(mark)) => self.edit_live(id, |object| object.mark = mark),
            (Slot::ImmutableId, Held::Text(text)) => {
                self.edit_live(id, |object| object.immutable_id = text);
            }
            (Slot::Attribute(name), Held::Value(value)) => self.edit_live(id, |object| {
                match value {
                    Some(value) => object.attributes.insert(name.clone(), value),
                    None => object.attributes.remove(name),
                };
            }),
            (Slot::Manager, Held::Link(manager)) => {
                let manager = manager.as_ref().map(|manager| self.number(manager));
                self.refer(id, |incoming| incoming.manager = manager);
            }
            (Slot::Member(peer), Held::Flag(joined)) => {
                let peer = self.number(peer);
                self.refer(id, |incoming| {
                    if let Some(members) = &mut incoming.members {
                        members.retain(|member| *member != peer);
                        members.extend(joined.then_some(peer));
                    }
                });
            }
            _ => {}
        }
    }

    pub(super) fn edit_live(&mut self, id: &TargetId, change: impl FnOnce(&mut Object)) {
        self.edit(id, |object, state| {
            if *state == State::Live {
                change(object);
            }
        });
    }

    /// Changes the object itself.
    fn edit(&mut self, id: &TargetId, change: impl FnOnce(&mut Object, &mut State)) {
        let handle = self.number(id);
        let (Some(mut object), mut state) = (self.object(handle), self.state(handle)) else {
            return;
        };
        change(&mut object, &mut state);
        if state == State::Absent {
            return self.remove_object(handle);
        }
        let packed = self.pack(&object);
        if let Some(mut incoming) = self.current(handle) {
            (incoming.packed, incoming.state) = (packed, state);
            self.replace(handle, incoming);
        }
    }

    /// Changes what a live object refers to.
    pub(super) fn refer(&mut self, id: &TargetId, change: impl FnOnce(&mut Incoming)) {
        let handle = self.number(id);
        if let (State::Live, Some(mut incoming)) = (self.state(handle), self.current(handle)) {
            change(&mut incoming);
            self.replace(handle, incoming);
        }
    }
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
            .map(|(name, value)| {
                (
                    Slot::Attribute(name),
                    Held::Value(normal(value).map(Kept::Value)),
                )
            })
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
pub(super) fn differing(old: &Object, new: &Object) -> Vec<Slot> {
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

impl Object {
    pub(super) fn touched(&self, slot: Slot, before: Held) -> Option<Touched> {
        Some(Touched {
            mark: self.mark.clone()?,
            slot,
            before,
        })
    }
}

pub(super) fn normalised(values: Values) -> Values {
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
