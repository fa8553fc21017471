//! The target view: what the target holds, as last read completely, with the confirmed writes of the last ten minutes laid over it,
//! for a target may answer a read with what was true some seconds ago.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::Anchor,
    entry::Class,
    fault::{Fault, planted},
    operation::{Change, Member, Operation},
    port::Observation,
    target::{Changes, Mark, TargetId, TargetObject, Value, Values},
};

/// How long a confirmed write outweighs what is read.
const CONFIRMED: SignedDuration = SignedDuration::from_mins(10);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TargetView {
    current: Content,
    incoming: Option<Content>,
    complete: bool,
    confirmed: Vec<(Timestamp, Effect)>,
}

#[derive(Debug, Default)]
struct Content {
    live: BTreeMap<TargetId, TargetObject>,
    deleted: BTreeMap<TargetId, TargetObject>,
    domains: Option<BTreeSet<String>>,
    roles_readable: bool,
}

/// What a confirmed write made of one object.
#[derive(Clone, Debug)]
enum Effect {
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
    /// Takes an event of a read. A read without its end changes nothing.
    pub(crate) fn observe(&mut self, event: Observation, now: Timestamp) {
        if matches!(event, Observation::Begin) {
            self.incoming = Some(Content::default());
            return;
        }
        let Some(incoming) = &mut self.incoming else {
            return;
        };
        match event {
            Observation::Begin => {}
            Observation::Domains(domains) => incoming.domains = Some(domains),
            Observation::Batch(objects) => incoming.add(objects),
            Observation::Deleted(objects) => {
                let objects = objects
                    .into_iter()
                    .map(|object| (object.id.clone(), object));
                incoming.deleted.extend(objects);
            }
            Observation::RolesReadable(readable) => incoming.roles_readable = readable,
            Observation::End => {
                self.current = self.incoming.take().unwrap_or_default();
                self.complete = true;
                self.confirmed
                    .retain(|(at, _)| now.duration_since(*at) < CONFIRMED);
                for (_, effect) in &self.confirmed {
                    self.current.lay_over(effect);
                }
            }
        }
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
        let Some(effect) = Effect::of(operation, id, peer, held, enabled) else {
            return;
        };
        self.current.lay_over(&effect);
        self.confirmed.push((now, effect));
    }

    /// The target says that it is no longer there.
    pub(crate) fn forget(&mut self, id: &TargetId) {
        self.current.live.remove(id);
        self.current.deleted.remove(id);
        self.confirmed.retain(|(_, effect)| effect.object() != id);
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

impl Content {
    fn add(&mut self, objects: Vec<TargetObject>) {
        for mut object in objects {
            object.attributes = object
                .attributes
                .into_iter()
                .filter_map(|(name, value)| Some((name, normal(Some(value))?)))
                .collect();
            self.live.insert(object.id.clone(), object);
        }
    }

    fn lay_over(&mut self, effect: &Effect) {
        let deleted = &mut self.deleted;
        match effect {
            Effect::Created(object) => {
                deleted.remove(&object.id);
                self.live
                    .entry(object.id.clone())
                    .or_insert_with(|| object.clone());
            }
            Effect::Changed {
                id,
                marked,
                changes,
            } => {
                if let (true, Some(object)) = (marked.is_some(), deleted.remove(id)) {
                    self.live.entry(id.clone()).or_insert(object);
                }
                let Some(object) = self.live.get_mut(id) else {
                    return;
                };
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
            }
            Effect::Manager { id, manager } => {
                if let Some(object) = self.live.get_mut(id) {
                    object.manager.clone_from(manager);
                }
            }
            Effect::Joined { group, member } => {
                if let Some(members) = self.members(group)
                    && !members.contains(member)
                {
                    members.push(member.clone());
                }
            }
            Effect::Left { group, member } => {
                if let Some(members) = self.members(group) {
                    members.retain(|id| id != member);
                }
            }
            Effect::Deleted { id } => {
                if let Some(object) = self.live.remove(id) {
                    deleted.insert(id.clone(), object);
                }
            }
        }
    }

    fn members(&mut self, group: &TargetId) -> Option<&mut Vec<TargetId>> {
        self.live.get_mut(group)?.members.as_mut()
    }
}

impl Effect {
    fn of(
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

    fn object(&self) -> &TargetId {
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
