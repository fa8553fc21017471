//! Members of groups of one forest who are accounts of another: found by the SID in the name of their `foreignSecurityPrincipal`.

use std::collections::{BTreeSet, HashMap};

use super::{Spaces, pack};
use crate::{
    fault::{Fault, planted},
    index::{Index, hash, short},
    sid::{foreign, of_a_domain},
};

/// The attribute with the SID of an account or group, in lower case.
pub(crate) const OBJECT_SID: &str = "objectsid";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// From SIDs to the entries that have them.
    accounts: Index,
    /// From SIDs to the names of foreign principals to which links lead.
    principals: HashMap<Vec<u8>, BTreeSet<u32>>,
}

fn key(sid: &[u8]) -> u32 {
    short(hash(sid))
}

impl Spaces {
    /// Whether links may lead to entries of another connector.
    pub(crate) fn look_abroad(&mut self, wanted: bool) {
        if self.foreign.is_some() == wanted {
            return;
        }
        self.foreign = wanted.then(Foreign::default);
        let slots: Vec<u32> = self.slots().filter(|_| wanted).collect();
        for slot in slots {
            let sid = self.sid(slot);
            if let (Some(sid), Some(foreign)) = (sid, &mut self.foreign) {
                foreign.accounts.insert(key(&sid), slot);
            }
        }
        let vacant = self.names.vacant().filter(|_| wanted);
        let vacant: Vec<(u32, String)> =
            vacant.map(|(name, text)| (name, text.to_owned())).collect();
        for (name, text) in vacant {
            self.note_foreign(name, &text);
        }
    }

    fn sid_in(&self, packed: &[u8]) -> Option<Vec<u8>> {
        let attribute = self.words.known(OBJECT_SID)?;
        pack::value(packed, attribute).filter(|sid| of_a_domain(sid))
    }

    fn sid(&self, slot: u32) -> Option<Vec<u8>> {
        self.sid_in(self.packed(slot)?)
    }

    /// A link leads to a name that no entry has.
    pub(super) fn note_foreign(&mut self, name: u32, text: &str) {
        if let Some(known) = &mut self.foreign
            && let Some(sid) = foreign(text)
        {
            known.principals.entry(sid).or_default().insert(name);
        }
    }

    /// A link to a name is gone: forgets the name if it was the last one.
    pub(super) fn forget_foreign(&mut self, name: u32) {
        let Some(known) = &mut self.foreign else {
            return;
        };
        if self.linked.contains(name) {
            return;
        }
        if let Some(sid) = self.names.text(name).and_then(foreign)
            && let Some(names) = known.principals.get_mut(&sid)
        {
            names.remove(&name);
            if names.is_empty() {
                known.principals.remove(&sid);
            }
        }
    }

    /// The names of the foreign principals that stand for a packed entry.
    pub(super) fn foreign_names(&self, packed: &[u8]) -> Vec<u32> {
        let Some(known) = self.foreign.as_ref().filter(|_| !packed.is_empty()) else {
            return Vec::new();
        };
        if known.principals.is_empty() || planted(Fault::ForeignUnnoticed) {
            return Vec::new();
        }
        let names = self
            .sid_in(packed)
            .and_then(|sid| known.principals.get(&sid));
        names.into_iter().flatten().copied().collect()
    }

    /// Keeps up with the SID of an entry; whoever names it from abroad hears when it came or went.
    pub(super) fn exchange_sid(&mut self, slot: u32, before: &[u8], after: &[u8]) {
        if self.foreign.is_none() {
            return;
        }
        let (old, new) = (self.sid_in(before), self.sid_in(after));
        if old == new {
            return;
        }
        let abroad = [self.foreign_names(before), self.foreign_names(after)];
        self.journal.names.extend(abroad.into_iter().flatten());
        if let Some(known) = &mut self.foreign {
            if let Some(old) = old {
                known.accounts.remove(key(&old), slot);
            }
            if let Some(new) = new {
                known.accounts.insert(key(&new), slot);
            }
        }
    }

    /// Like [`Self::references`], and the accounts of other connectors that foreign principals stand for.
    pub(crate) fn references_abroad(&self, slot: u32, attribute: &str) -> Vec<u32> {
        let mut found = self.references(slot, attribute);
        let Some(known) = self.foreign.as_ref() else {
            return found;
        };
        let (Some(packed), Some(attribute)) = (self.packed(slot), self.words.known(attribute))
        else {
            return found;
        };
        if known.principals.is_empty() {
            return found;
        }
        let names = pack::names(packed, Some(attribute)).into_iter();
        let sids = names.filter_map(|name| foreign(self.names.text(name)?));
        for sid in sids {
            let mut accounts = known.accounts.get(key(&sid));
            accounts.retain(|slot| self.sid(*slot).as_ref() == Some(&sid));
            found.extend(accounts);
        }
        found
    }
}
