//! Confirmed writes: what each made of one object. They are laid over what is read for ten minutes, for a target may answer a read
//! with what was true some seconds ago.

use super::{Incoming, State, TargetView};
use crate::{
    entry::Class,
    operation::{Change, Member, Operation},
    target::{Changes, Mark, TargetId, TargetObject, Value, Values},
};

/// What a confirmed write made of one object.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Created(TargetObject),
    Changed {
        id: TargetId,
        /// The mark and immutable id of an object that was adopted or restored.
        marked: Option<(Mark, Option<String>)>,
        changes: Changes,
    },
    Manager {
        id: TargetId,
        manager: Option<TargetId>,
    },
    Joined {
        group: TargetId,
        member: TargetId,
    },
    Left {
        group: TargetId,
        member: TargetId,
    },
    Deleted {
        id: TargetId,
    },
}

impl TargetView {
    pub(super) fn lay_over(&mut self, effect: &Effect) {
        match effect {
            Effect::Created(object) => {
                let handle = self.number(&object.id);
                if self.state(handle) != State::Live {
                    let incoming = self.incoming_of(object.clone(), State::Live);
                    self.replace(handle, incoming);
                }
            }
            Effect::Changed {
                id,
                marked,
                changes,
            } => self.edit(id, |object, state| {
                if marked.is_some() && *state == State::Deleted {
                    *state = State::Live;
                }
                if *state != State::Live {
                    return;
                }
                if let Some((mark, immutable_id)) = marked {
                    object.mark = Some(mark.clone());
                    object.immutable_id.clone_from(immutable_id);
                }
                for (name, value) in changes {
                    match normal(value.clone()) {
                        Some(value) => object.attributes.insert(name.clone(), value),
                        None => object.attributes.remove(name),
                    };
                }
            }),
            Effect::Manager { id, manager } => {
                let manager = manager.as_ref().map(|manager| self.number(manager));
                self.refer(id, |incoming| incoming.manager = manager);
            }
            Effect::Joined { group, member } => {
                let member = self.number(member);
                self.refer(group, |incoming| {
                    if let Some(members) = &mut incoming.members
                        && !members.contains(&member)
                    {
                        members.push(member);
                    }
                });
            }
            Effect::Left { group, member } => {
                let member = self.number(member);
                self.refer(group, |incoming| {
                    if let Some(members) = &mut incoming.members {
                        members.retain(|held| *held != member);
                    }
                });
            }
            Effect::Deleted { id } => self.edit(id, |_, state| {
                if *state == State::Live {
                    *state = State::Deleted;
                }
            }),
        }
    }

    /// Changes the object itself.
    fn edit(&mut self, id: &TargetId, change: impl FnOnce(&mut TargetObject, &mut State)) {
        let handle = self.number(id);
        let (Some(mut object), mut state) = (self.object(handle), self.state(handle)) else {
            return;
        };
        change(&mut object, &mut state);
        let packed = self.pack(&object);
        if let Some(mut incoming) = self.current(handle) {
            (incoming.packed, incoming.state) = (packed, state);
            self.replace(handle, incoming);
        }
    }

    /// Changes what a live object refers to.
    fn refer(&mut self, id: &TargetId, change: impl FnOnce(&mut Incoming)) {
        let handle = self.number(id);
        if let (State::Live, Some(mut incoming)) = (self.state(handle), self.current(handle)) {
            change(&mut incoming);
            self.replace(handle, incoming);
        }
    }
}

impl Effect {
    pub(super) fn of(
        operation: &Operation,
        id: TargetId,
        peer: Option<TargetId>,
        held: &Values,
        enabled: &str,
    ) -> Option<Self> {
        let immutable_id =
            (operation.class == Class::User).then(|| operation.anchor.immutable_id());
        let held_changes = held
            .iter()
            .map(|(name, value)| (name.clone(), Some(value.clone())));
        let changed = |marked, changes: &Changes| Self::Changed {
            id: id.clone(),
            marked,
            changes: changes.clone().into_iter().chain(held_changes).collect(),
        };
        Some(match &operation.change {
            Change::Create { mark, values } => {
                let mut attributes = values.clone();
                attributes.extend(held.clone());
                Self::Created(TargetObject {
                    id,
                    class: operation.class,
                    mark: Some(mark.clone()),
                    immutable_id,
                    attributes,
                    manager: None,
                    members: Some(Vec::new()),
                    standing: crate::target::Standing::default(),
                })
            }
            Change::Restore { mark, changes } | Change::Adopt { mark, changes } => {
                changed(Some((mark.clone(), immutable_id)), changes)
            }
            Change::Update { changes } => changed(None, changes),
            Change::Disable => {
                let off = (enabled.to_owned(), Some(Value::Flag(false)));
                changed(None, &Changes::from([off]))
            }
            Change::SetManager { manager: None } => Self::Manager { id, manager: None },
            Change::SetManager { manager: Some(_) } => Self::Manager {
                id,
                manager: Some(peer?),
            },
            Change::Delete => Self::Deleted { id },
            Change::AddMember { .. } => Self::Joined {
                group: id,
                member: peer?,
            },
            Change::RemoveMember { member } => Self::Left {
                group: id,
                member: match member {
                    Member::Ours(_) => peer?,
                    Member::Foreign(id) => id.clone(),
                },
            },
        })
    }

    pub(super) fn object(&self) -> &TargetId {
        match self {
            Self::Created(object) => &object.id,
            Self::Changed { id, .. } | Self::Manager { id, .. } | Self::Deleted { id } => id,
            Self::Joined { group, .. } | Self::Left { group, .. } => group,
        }
    }
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
