//! A target for the laws: it does what it is told, says what it made of it, and notes what nobody may do.

use std::collections::{BTreeMap, BTreeSet};

use super::OWNER;
use crate::{
    anchor::Anchor,
    entry::Class,
    operation::{Change, Member, Operation, Outcome},
    port::Observation,
    reason::Reason,
    target::{
        AttributeRule, Capabilities, Changes, Mark, Shape, Standing, TargetId, TargetObject, Value,
        Values,
    },
};

const fn rule(class: Class, name: &'static str, shape: Shape) -> AttributeRule {
    AttributeRule {
        class,
        name,
        shape,
        max_length: None,
        format: None,
        max_values: None,
        clearable: true,
        required: false,
        unique: false,
        together: None,
    }
}

const fn required(rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        clearable: false,
        required: true,
        ..rule
    }
}

const fn unique(rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        unique: true,
        ..rule
    }
}

const fn together(rule: AttributeRule) -> AttributeRule {
    AttributeRule {
        together: Some("organisation"),
        ..rule
    }
}

pub(super) const CAPABILITIES: &Capabilities = &Capabilities {
    classes: &[Class::User, Class::Group],
    attributes: &[
        required(rule(Class::User, "accountEnabled", Shape::Flag)),
        rule(Class::User, "city", Shape::Text),
        together(rule(Class::User, "companyName", Shape::Text)),
        rule(Class::User, "department", Shape::Text),
        required(rule(Class::User, "displayName", Shape::Text)),
        together(rule(Class::User, "employeeType", Shape::Text)),
        rule(Class::User, "jobTitle", Shape::Text),
        unique(rule(Class::User, "mail", Shape::Text)),
        required(unique(rule(Class::User, "userPrincipalName", Shape::Text))),
        rule(Class::Group, "description", Shape::Text),
        required(rule(Class::Group, "displayName", Shape::Text)),
    ],
    enabled: "accountEnabled",
    sign_in_name: "userPrincipalName",
};

/// What a mapping writes; `jobTitle` is omitted.
const MAPPED: [&str; 8] = [
    "accountEnabled",
    "city",
    "department",
    "description",
    "displayName",
    "employeeType",
    "mail",
    "userPrincipalName",
];

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) live: BTreeMap<TargetId, TargetObject>,
    pub(super) deleted: BTreeMap<TargetId, TargetObject>,
    next: u32,
    /// Sessions cannot be revoked.
    pub(super) revoke_fails: bool,
    /// Blocked by us, with their sessions still alive.
    pub(super) sessions: BTreeSet<TargetId>,
    /// What was done that nobody may do.
    pub(super) trespasses: Vec<String>,
}

impl Model {
    /// With people of others: without a mark, and with another owner's mark for one of our anchors.
    pub(super) fn new() -> Self {
        let mut model = Self::default();
        for (at, mark) in [None, Some("other")].into_iter().enumerate() {
            let attributes = Values::from([
                (
                    "userPrincipalName".to_owned(),
                    Value::Text(format!("f{at}@x.example")),
                ),
                ("accountEnabled".to_owned(), Value::Flag(true)),
            ]);
            let mark = mark.map(|owner| Mark {
                owner: owner.into(),
                anchor: super::source::anchor(7, false),
            });
            model.insert(Class::User, mark, Some("foreign".to_owned()), attributes);
        }
        model
    }

    fn insert(
        &mut self,
        class: Class,
        mark: Option<Mark>,
        immutable_id: Option<String>,
        attributes: Values,
    ) -> TargetId {
        self.next += 1;
        let id = TargetId(format!("id{:04}", self.next).into());
        let object = TargetObject {
            id: id.clone(),
            class,
            mark,
            immutable_id,
            attributes,
            manager: None,
            members: (class == Class::Group).then(Vec::new),
            standing: Standing::default(),
        };
        self.live.insert(id.clone(), object);
        id
    }

    pub(super) fn ours(&self, anchor: &Anchor) -> Option<&TargetObject> {
        self.live.values().find(|object| {
            object
                .mark
                .as_ref()
                .is_some_and(|mark| *mark.owner == *OWNER && mark.anchor == *anchor)
        })
    }

    pub(super) fn read(&self) -> Vec<Observation> {
        vec![
            Observation::Begin { complete: true },
            Observation::Domains(BTreeSet::from(["x.example".to_owned()])),
            Observation::RolesReadable(true),
            Observation::Batch(self.live.values().cloned().collect()),
            Observation::Deleted(self.deleted.values().cloned().collect()),
            Observation::End { cursor: None },
        ]
    }

    /// Does it, and notes a trespass.
    pub(super) fn apply(&mut self, operation: &Operation) -> Outcome {
        let id = match &operation.change {
            Change::Create { mark, values } => {
                let changes = values
                    .iter()
                    .map(|(name, value)| (name.clone(), Some(value.clone())));
                let changes: Changes = changes.collect();
                if self.taken(None, &changes) {
                    return conflict();
                }
                let user = operation.class == Class::User;
                let immutable_id = user.then(|| operation.anchor.immutable_id());
                let id = self.insert(
                    operation.class,
                    Some(mark.clone()),
                    immutable_id,
                    Values::new(),
                );
                let held = self.write(&id, &changes);
                return if held.is_empty() {
                    Outcome::Done { id: Some(id) }
                } else {
                    Outcome::Rewritten { values: held }
                };
            }
            _ => match &operation.target {
                Some(id) => id.clone(),
                // Something created earlier in this plan.
                None => match self.ours(&operation.anchor) {
                    Some(object) => object.id.clone(),
                    None => return Outcome::NotYet { retry_after: None },
                },
            },
        };
        if let Change::Restore { changes, mark } = &operation.change {
            let Some(mut object) = self.deleted.remove(&id) else {
                return Outcome::Gone;
            };
            self.owned(&object, operation);
            object.mark = Some(mark.clone());
            self.live.insert(id.clone(), object);
            let held = self.write(&id, changes);
            return if held.is_empty() {
                Outcome::Done { id: None }
            } else {
                Outcome::Rewritten { values: held }
            };
        }
        let Some(object) = self.live.get(&id).cloned() else {
            return Outcome::Gone;
        };
        self.owned(&object, operation);
        let peer = |anchor: &Anchor| self.ours(anchor).map(|object| object.id.clone());
        match &operation.change {
            Change::Update { changes } => {
                if self.taken(Some(&id), changes) {
                    return conflict();
                }
                let held = self.write(&id, changes);
                if !held.is_empty() {
                    return Outcome::Rewritten { values: held };
                }
            }
            Change::Disable => {
                let off = Changes::from([("accountEnabled".to_owned(), Some(Value::Flag(false)))]);
                self.write(&id, &off);
                self.sessions.insert(id.clone());
                if std::mem::take(&mut self.revoke_fails) {
                    return Outcome::Refused {
                        reason: Reason::Privileged,
                        message: "no right to revoke".to_owned(),
                    };
                }
                self.sessions.remove(&id);
            }
            Change::Delete => {
                self.live.remove(&id);
                for group in self.live.values_mut() {
                    group
                        .members
                        .iter_mut()
                        .for_each(|members| members.retain(|member| *member != id));
                }
                self.deleted.insert(id, object);
            }
            Change::SetManager { manager } => {
                let manager = manager.as_ref().and_then(peer);
                self.live
                    .entry(id)
                    .and_modify(|object| object.manager = manager);
            }
            Change::AddMember { member } => match peer(member) {
                Some(member) => {
                    let members = self
                        .live
                        .get_mut(&id)
                        .and_then(|group| group.members.as_mut());
                    members.unwrap().push(member);
                }
                None => return Outcome::NotYet { retry_after: None },
            },
            Change::RemoveMember { member } => {
                let member = match member {
                    Member::Ours(anchor) => peer(anchor),
                    Member::Foreign(id) => Some(id.clone()),
                };
                let members = self
                    .live
                    .get_mut(&id)
                    .and_then(|group| group.members.as_mut());
                members
                    .unwrap()
                    .retain(|held| Some(held) != member.as_ref());
            }
            // Only ever of what is ours: another entry of the same person names it from now on.
            Change::Adopt { mark, changes } => {
                if self.taken(Some(&id), changes) {
                    return conflict();
                }
                let held = self.write(&id, changes);
                let marked = |object: &mut TargetObject| object.mark = Some(mark.clone());
                self.live.entry(id).and_modify(marked);
                if !held.is_empty() {
                    return Outcome::Rewritten { values: held };
                }
            }
            Change::Create { .. } | Change::Restore { .. } => {
                self.trespasses
                    .push(format!("not expected here: {operation:?}"));
            }
        }
        Outcome::Done { id: None }
    }

    /// Someone else at the target changes a value behind our back.
    pub(super) fn drift(&mut self, at: usize) {
        if let Some(object) = self.live.values_mut().nth(at)
            && object
                .mark
                .as_ref()
                .is_some_and(|mark| *mark.owner == *OWNER)
        {
            let foreign = TargetId("id0001".into());
            match &mut object.members {
                Some(members) if !members.contains(&foreign) => members.push(foreign),
                Some(_) => {}
                None => {
                    let own = |text: &str| Value::Text(text.to_owned());
                    object
                        .attributes
                        .insert("department".to_owned(), own("drifted"));
                    object
                        .attributes
                        .insert("companyName".to_owned(), own("theirs"));
                    object
                        .attributes
                        .insert("jobTitle".to_owned(), own("theirs"));
                }
            }
        }
    }

    /// Someone else makes an account with a name that one of ours may want.
    pub(super) fn foreign(&mut self, mail: u8) {
        let name = Value::Text(format!("p{mail}@x.example"));
        let changes = Changes::from([("userPrincipalName".to_owned(), Some(name.clone()))]);
        if !self.taken(None, &changes) {
            let attributes = Values::from([
                ("userPrincipalName".to_owned(), name),
                ("accountEnabled".to_owned(), Value::Flag(true)),
            ]);
            self.insert(Class::User, None, None, attributes);
        }
    }

    fn owned(&mut self, object: &TargetObject, operation: &Operation) {
        if object
            .mark
            .as_ref()
            .is_none_or(|mark| *mark.owner != *OWNER)
        {
            self.trespasses.push(format!("not ours: {operation:?}"));
        }
    }

    /// Writes; `Department 4` is kept as `department 4`. Returns what became other than sent.
    fn write(&mut self, id: &TargetId, changes: &Changes) -> Values {
        let mut held = Values::new();
        let Some(object) = self.live.get_mut(id) else {
            return held;
        };
        for (name, value) in changes {
            let same = object.attributes.get(name) == value.as_ref();
            if !MAPPED.contains(&name.as_str()) && !same {
                self.trespasses.push(format!("`{name}` is not mapped"));
            }
            let rule = CAPABILITIES.rule(object.class, name);
            match value {
                Some(Value::Text(text)) if text == "Department 4" => {
                    held.insert(name.clone(), Value::Text("department 4".to_owned()));
                    object
                        .attributes
                        .insert(name.clone(), Value::Text("department 4".to_owned()));
                }
                Some(value) => {
                    object.attributes.insert(name.clone(), value.clone());
                }
                None if rule.is_some_and(|rule| rule.clearable) => {
                    object.attributes.remove(name);
                }
                None => self.trespasses.push(format!("`{name}` cannot be cleared")),
            }
        }
        held
    }

    fn taken(&self, id: Option<&TargetId>, changes: &Changes) -> bool {
        ["mail", "userPrincipalName"].iter().any(|name| {
            let value = changes.get(*name).and_then(Option::as_ref);
            value.is_some()
                && self
                    .live
                    .values()
                    .any(|other| Some(&other.id) != id && other.attributes.get(*name) == value)
        })
    }
}

fn conflict() -> Outcome {
    Outcome::Conflict {
        attribute: None,
        holder: None,
    }
}
