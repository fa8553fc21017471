//! What happens in a company: each operation changes the model and returns the LDIF changes that bring a server along.
//!
//! The changes are the difference between the renderings before and after. AD and Samba keep references whole
//! themselves; for slapd, which does not, the changes rewrite `member` and `manager` as an administrator's tool would.

use std::collections::BTreeMap;

use thiserror::Error;

use super::render::Rendered;
use super::{Company, Dialect, ObjectId};
use crate::directory::{Attribute, Change, Dn, Escaping, Modification, Operation};

/// The operation makes no sense for this company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CompanyError {
    #[error("{0:?} is not in the company, or not of the kind that this operation is for")]
    Unknown(ObjectId),
    #[error("{member:?} is the last member of {group:?}; groupOfNames needs one")]
    LastMember { group: ObjectId, member: ObjectId },
}

type Renderings = BTreeMap<ObjectId, Rendered>;

impl Company {
    /// The changes that fill an empty server over LDAP.
    ///
    /// AD and Samba want what an entry refers to to be there, so references come after all entries; slapd wants a group
    /// to have members from the start and does not look at them. Anchors are left to the server.
    pub fn founding(&self) -> Vec<Change> {
        if self.dialect == Dialect::OpenLdap {
            return self.entries().into_iter().map(Change::Add).collect();
        }
        let (mut changes, mut references) = (Vec::new(), Vec::new());
        for id in self.ids() {
            let (Some(bare), Some(whole)) = (self.rendered(id), self.entry(id)) else {
                continue;
            };
            let mut modifications = Vec::new();
            for (name, _) in &bare.references {
                let values = whole.values(name);
                if !values.is_empty() {
                    let attribute = Attribute::new(name, values.to_vec());
                    modifications.push(Modification {
                        operation: Operation::Add,
                        attribute,
                    });
                }
            }
            if !modifications.is_empty() {
                let dn = bare.entry.dn.clone();
                references.push(Change::Modify { dn, modifications });
            }
            changes.push(Change::Add(bare.entry));
        }
        changes.extend(references);
        changes
    }

    /// Someone starts in a unit, and joins its group.
    pub fn hire(&mut self, unit: ObjectId) -> Result<(ObjectId, Vec<Change>), CompanyError> {
        let name = self
            .units
            .get(&unit)
            .ok_or(CompanyError::Unknown(unit))?
            .name
            .clone();
        let before = self.renderings();
        let id = self.add_person(unit, None);
        let manager = self
            .people
            .iter()
            .find(|(other, each)| **other != id && each.unit == unit)
            .map(|(other, _)| *other);
        if let Some(person) = self.people.get_mut(&id) {
            person.manager = manager;
            person.enabled = true;
        }
        let group = self.group_named(&format!("All of {name}"));
        if let Some(group) = group.and_then(|group| self.groups.get_mut(&group)) {
            group.members.push(id);
        }
        Ok((id, self.since(&before)))
    }

    /// Someone takes another family name: names change, login and addresses stay.
    pub fn rename(&mut self, person: ObjectId, surname: &str) -> Result<Vec<Change>, CompanyError> {
        let before = self.renderings();
        let found = self
            .people
            .get_mut(&person)
            .ok_or(CompanyError::Unknown(person))?;
        let display_name = format!("{} {surname}", found.given_name);
        surname.clone_into(&mut found.surname);
        found.common_name = format!("{display_name} ({})", found.login);
        found.display_name = display_name;
        Ok(self.since(&before))
    }

    /// Someone leaves: the account is deleted, reports go to the manager, who takes the place in emptied groups.
    pub fn leave(&mut self, person: ObjectId) -> Result<Vec<Change>, CompanyError> {
        let before = self.renderings();
        let gone = self
            .people
            .remove(&person)
            .ok_or(CompanyError::Unknown(person))?;
        let heir = gone.manager.or_else(|| self.people.keys().next().copied());
        for each in self
            .people
            .values_mut()
            .filter(|each| each.manager == Some(person))
        {
            each.manager = gone.manager;
        }
        for group in self.groups.values_mut() {
            group.members.retain(|member| *member != person);
            if group.members.is_empty() {
                group.members.extend(heir);
            }
        }
        Ok(self.since(&before))
    }

    /// An account is disabled, or enabled again.
    pub fn set_enabled(
        &mut self,
        person: ObjectId,
        enabled: bool,
    ) -> Result<Vec<Change>, CompanyError> {
        let before = self.renderings();
        self.people
            .get_mut(&person)
            .ok_or(CompanyError::Unknown(person))?
            .enabled = enabled;
        Ok(self.since(&before))
    }

    /// Someone moves to another unit; the title stays.
    pub fn move_to(
        &mut self,
        person: ObjectId,
        unit: ObjectId,
    ) -> Result<Vec<Change>, CompanyError> {
        let department = self
            .units
            .get(&unit)
            .ok_or(CompanyError::Unknown(unit))?
            .department
            .clone();
        let before = self.renderings();
        let found = self
            .people
            .get_mut(&person)
            .ok_or(CompanyError::Unknown(person))?;
        (found.unit, found.department) = (unit, department);
        Ok(self.since(&before))
    }

    /// A unit gets another name; all below it moves along.
    pub fn rename_unit(&mut self, unit: ObjectId, name: &str) -> Result<Vec<Change>, CompanyError> {
        let before = self.renderings();
        let found = self
            .units
            .get_mut(&unit)
            .ok_or(CompanyError::Unknown(unit))?;
        name.clone_into(&mut found.name);
        Ok(self.since(&before))
    }

    /// Someone, a group or a contact joins a group.
    pub fn join(&mut self, group: ObjectId, member: ObjectId) -> Result<Vec<Change>, CompanyError> {
        if matches!(member, ObjectId::Unit(_)) || self.place_of(member).is_none() {
            return Err(CompanyError::Unknown(member));
        }
        let before = self.renderings();
        let found = self
            .groups
            .get_mut(&group)
            .ok_or(CompanyError::Unknown(group))?;
        if !found.members.contains(&member) {
            found.members.push(member);
        }
        Ok(self.since(&before))
    }

    /// A security group is founded; on AD its members must be there already.
    pub fn found_group(
        &mut self,
        name: &str,
        unit: ObjectId,
        members: Vec<ObjectId>,
    ) -> Result<(ObjectId, Vec<Change>), CompanyError> {
        if !self.units.contains_key(&unit) {
            return Err(CompanyError::Unknown(unit));
        }
        let before = self.renderings();
        let id = self.add_group(name, true, unit, members);
        Ok((id, self.since(&before)))
    }

    /// A member leaves a group.
    pub fn quit(&mut self, group: ObjectId, member: ObjectId) -> Result<Vec<Change>, CompanyError> {
        let before = self.renderings();
        let found = self
            .groups
            .get_mut(&group)
            .ok_or(CompanyError::Unknown(group))?;
        if found.members == [member] {
            return Err(CompanyError::LastMember { group, member });
        }
        found.members.retain(|each| *each != member);
        Ok(self.since(&before))
    }

    fn renderings(&self) -> Renderings {
        self.ids()
            .into_iter()
            .filter_map(|id| self.rendered(id).map(|rendered| (id, rendered)))
            .collect()
    }

    /// The changes since an earlier state: adds, renames, modifications, deletes.
    fn since(&self, before: &Renderings) -> Vec<Change> {
        let after = self.renderings();
        let name = |id: &ObjectId| {
            before
                .get(id)
                .map(|each| each.dn.render(Escaping::Backslash))
        };
        let mut changes: Vec<Change> = after
            .keys()
            .filter(|id| !before.contains_key(id))
            .filter_map(|id| self.entry(*id))
            .map(Change::Add)
            .collect();
        let mut modifications = Vec::new();
        for (id, now) in &after {
            let Some(then) = before.get(id) else { continue };
            let own_place = self.place_of(*id);
            let moved = renamed(then, now);
            // What lies below a renamed unit follows it by itself.
            let by_itself = now.dn.0.first() == then.dn.0.first()
                && own_place.is_some_and(|(_, parent)| {
                    parent.is_some_and(|parent| {
                        before.get(&parent).map(|each| &each.dn) == then.dn.parent().as_ref()
                    })
                });
            if moved && !by_itself {
                changes.push(Change::Rename {
                    dn: then.dn.render(Escaping::Backslash),
                    new_rdn: now
                        .dn
                        .0
                        .first()
                        .map(|rdn| rdn.render(Escaping::Backslash))
                        .unwrap_or_default(),
                    delete_old_rdn: true,
                    new_superior: superior(then, now),
                });
            }
            let steps = self.steps(then, now, before, &after);
            if !steps.is_empty() {
                modifications.push(Change::Modify {
                    dn: now.dn.render(Escaping::Backslash),
                    modifications: steps,
                });
            }
        }
        changes.extend(modifications);
        let gone = before.keys().filter(|id| !after.contains_key(id));
        changes.extend(gone.filter_map(name).map(|dn| Change::Delete { dn }));
        changes
    }

    fn steps(
        &self,
        then: &Rendered,
        now: &Rendered,
        before: &Renderings,
        after: &Renderings,
    ) -> Vec<Modification> {
        let mut steps = Vec::new();
        let mut names: Vec<&str> = now
            .entry
            .attributes
            .iter()
            .map(|each| each.name.as_str())
            .collect();
        names.extend(
            then.entry
                .attributes
                .iter()
                .map(|each| each.name.as_str())
                .filter(|name| now.entry.values(name).is_empty()),
        );
        let naming = now
            .dn
            .0
            .first()
            .and_then(|rdn| rdn.0.first())
            .map(|ava| ava.attribute.as_str());
        for name in names {
            let by_rename = renamed(then, now)
                && naming.is_some_and(|naming| naming.eq_ignore_ascii_case(name));
            if !by_rename && then.entry.values(name) != now.entry.values(name) {
                steps.push(Modification::replace(name, now.entry.values(name).to_vec()));
            }
        }
        for ((name, targets), (_, old)) in now.references.iter().zip(&then.references) {
            let key = |id: &ObjectId, all: &Renderings| all.get(id).map(|each| each.dn.clone());
            let follows = |id: &ObjectId| {
                self.dialect != Dialect::OpenLdap || key(id, before) == key(id, after)
            };
            let left = old
                .iter()
                .filter(|id| !(targets.contains(id) && follows(id)));
            // AD drops a reference to what is deleted by itself, after which it could not be removed.
            let left =
                left.filter(|id| self.dialect == Dialect::OpenLdap || after.contains_key(id));
            let came = targets
                .iter()
                .filter(|id| !(old.contains(id) && follows(id)));
            let render = |name: Dn| name.render(Escaping::Backslash);
            // slapd still holds the name from before; AD has renamed its references already.
            let held = if self.dialect == Dialect::OpenLdap {
                before
            } else {
                after
            };
            let removed: Vec<String> = left.filter_map(|id| key(id, held)).map(render).collect();
            let added: Vec<String> = came.filter_map(|id| key(id, after)).map(render).collect();
            if *name == "manager" {
                if !(removed.is_empty() && added.is_empty()) {
                    steps.push(Modification::replace(name, added));
                }
                continue;
            }
            // First add, then remove: a groupOfNames is never empty.
            for (operation, values) in [(Operation::Add, added), (Operation::Delete, removed)] {
                if !values.is_empty() {
                    steps.push(Modification {
                        operation,
                        attribute: Attribute::new(name, values),
                    });
                }
            }
        }
        steps
    }
}

fn renamed(then: &Rendered, now: &Rendered) -> bool {
    then.dn != now.dn
}

fn superior(then: &Rendered, now: &Rendered) -> Option<String> {
    let (old, new) = (then.dn.parent(), now.dn.parent());
    new.filter(|new| Some(new) != old.as_ref())
        .map(|new| new.render(Escaping::Backslash))
}
