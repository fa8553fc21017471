//! Renaming, moving and deleting: subtrees follow their head; AD turns what is deleted into a tombstone.

use std::collections::HashMap;

use ldap3_proto::proto::LdapResultCode;

use super::Profile;
use super::dn::{Dn, Escaping, is_within};
use super::entry;
use super::filter::same;
use super::refusal::Refusal;
use super::store::Store;
use super::tombstone;

impl Store {
    /// Gives an entry another RDN, another parent or both; what lies below goes with it and is not stamped.
    pub(crate) fn rename(
        &mut self,
        dn: &str,
        new_rdn: &str,
        delete_old_rdn: bool,
        new_superior: Option<&str>,
    ) -> Result<(), Refusal> {
        let id = self.existing(&self.parse(dn)?)?;
        let Some(stored) = self.entries.get(&id) else {
            return Ok(());
        };
        let mut renamed = stored.clone();
        let parsed = self.spell(&self.parse(new_rdn)?);
        let ([rdn], Some(parent)) = (parsed.0.as_slice(), stored.parent) else {
            return Err(Refusal::new(
                LdapResultCode::UnwillingToPerform,
                "a naming context cannot be renamed",
            ));
        };
        let parent = match new_superior {
            None => parent,
            Some(superior) => self.existing(&self.parse(superior)?)?,
        };
        let Some(above) = self.entries.get(&parent) else {
            return Ok(());
        };
        if is_within(&above.key, &stored.key) {
            let message = "an entry cannot be moved below itself";
            return Err(Refusal::new(LdapResultCode::UnwillingToPerform, message));
        }
        let name = above.dn.child(rdn.clone());
        if self.find(&name).is_some_and(|other| other != id) {
            return Err(self.exists());
        }
        if delete_old_rdn || self.profile == Profile::Ad {
            for ava in stored.dn.0.first().map_or(&[][..], |old| &old.0) {
                let attribute = self.known(&ava.attribute)?;
                if let Some(found) = entry::find_mut(&mut renamed.attributes, &attribute) {
                    found
                        .values
                        .retain(|each| !same(self.profile, &attribute, each, ava.value.as_bytes()));
                }
            }
            renamed.attributes.retain(|each| !each.values.is_empty());
        }
        for ava in &rdn.0 {
            let attribute = self.known(&ava.attribute)?;
            let value = ava.value.as_bytes();
            match entry::find_mut(&mut renamed.attributes, &attribute) {
                Some(found)
                    if found
                        .values
                        .iter()
                        .any(|each| same(self.profile, &attribute, each, value)) => {}
                Some(found) if self.profile == Profile::OpenLdap => {
                    found.values.push(value.to_vec());
                }
                _ => renamed.set(&attribute, value),
            }
        }
        self.stamp_changed(&mut renamed);
        if self.profile == Profile::Ad {
            self.note_name(&mut renamed);
        }
        self.entries.insert(id, renamed);
        self.relocate(id, parent, name);
        Ok(())
    }

    /// Deletes a leaf.
    pub(crate) fn delete(&mut self, dn: &str) -> Result<(), Refusal> {
        let id = self.existing(&self.parse(dn)?)?;
        if self.has_children(id) {
            let message = match self.profile {
                Profile::OpenLdap => "subordinate objects must be deleted first",
                Profile::Ad => {
                    "00002015: UpdErr: DSID-031A11DE, problem 6003 (CANT_ON_NON_LEAF), data 0"
                }
            };
            return Err(Refusal::new(LdapResultCode::NotAllowedOnNonLeaf, message));
        }
        match self.profile {
            Profile::OpenLdap => self.remove(id),
            Profile::Ad => tombstone::bury(self, id)?,
        }
        Ok(())
    }

    /// Puts an entry below another parent under a new name and rewrites the names of everything below it.
    pub(crate) fn relocate(&mut self, id: u64, parent: u64, name: Dn) {
        if let Some(old) = self.entries.get(&id).and_then(|stored| stored.parent)
            && let Some(siblings) = self.children.get_mut(&old)
        {
            siblings.remove(&id);
        }
        self.children.entry(parent).or_default().insert(id);
        if let Some(stored) = self.entries.get_mut(&id) {
            stored.parent = Some(parent);
        }
        let mut renamed = HashMap::new();
        let mut open = vec![(id, name)];
        while let Some((id, name)) = open.pop() {
            let Some(stored) = self.entries.get_mut(&id) else {
                continue;
            };
            stored.dn = name.clone();
            let before = std::mem::replace(&mut stored.key, name.key());
            if stored.raw.is_some() {
                stored.raw = Some(name.render(Escaping::Backslash));
            }
            self.index.remove(&before);
            self.index.insert(name.key(), id);
            let below = self.children.get(&id).cloned().unwrap_or_default();
            for child in below {
                if let Some(rdn) = self
                    .entries
                    .get(&child)
                    .and_then(|stored| stored.dn.0.first())
                {
                    open.push((child, name.child(rdn.clone())));
                }
            }
            renamed.insert(before, Some(name));
        }
        self.follow(&renamed);
    }
}
