//! References by anchor: managers and members. DNs are resolved within their connector, so that spelling and renames do not matter.
//!
//! What is wanted: whoever an attribute names and who takes part. What is taken away: only who is known not to be wanted, that is a person
//! or group of ours that was read (or is proven gone, or left) and that the source does not name, or someone without our mark whom
//! another hand added. Left alone: whoever is set aside, unproven or held, whose connector was not read, whom the source still names
//! although he left the scope (a disabled leaver keeps his groups, so that he finds them when he returns), and members that are
//! neither users nor groups.

use std::collections::BTreeSet;

use crate::{
    anchor::Anchor,
    connector_space::names,
    entry::Class,
    fault::{Fault, planted},
    identity::Identity,
    matching::{Found, Matches},
    operation::{Change, Member, Operation},
    target::TargetId,
    target_view::{TargetView, our_anchor},
};

/// What references are decided by.
#[derive(Debug)]
pub(crate) struct Peers<'a> {
    pub(crate) matches: &'a Matches<'a>,
    pub(crate) view: &'a TargetView,
    pub(crate) owner: &'a str,
    /// Identities that exist at the target, or will when this plan is through.
    pub(crate) existing: &'a BTreeSet<&'a Anchor>,
    /// Ours of whom it is certain what the source thinks: they take part and their connector was read, or they left.
    pub(crate) certain: &'a BTreeSet<TargetId>,
}

impl<'a> Peers<'a> {
    /// The operations for the references of one identity.
    pub(crate) fn operations(&self, anchor: &Anchor, identity: &Identity<'_>) -> Vec<Operation> {
        let Some(found) = self.matches.found.get(anchor) else {
            return Vec::new();
        };
        let changes = match identity.class {
            Class::Group => self.members(identity, *found),
            _ => self.manager(identity, *found).into_iter().collect(),
        };
        let target = found.object().map(|object| object.id.clone());
        changes
            .into_iter()
            .map(|change| Operation {
                class: identity.class,
                anchor: anchor.clone(),
                target: target.clone(),
                change,
            })
            .collect()
    }

    fn manager(&self, identity: &Identity<'_>, found: Found<'_>) -> Option<Change> {
        let attribute = identity.mapping.manager()?;
        let entry = &identity.slot.entry;
        let named = identity.reading.index.references(entry, attribute);
        let held = found.object().and_then(|object| object.manager.as_ref());
        for slot in &named {
            let Some(anchor) = &slot.entry.anchor else {
                continue;
            };
            if self.existing.contains(anchor) {
                let is_held = held.is_some() && held == self.id(anchor);
                let manager = Some(self.peer(anchor));
                return (!is_held).then_some(Change::SetManager { manager });
            }
        }
        let named: BTreeSet<&Anchor> = named.iter().flat_map(|slot| names(&slot.entry)).collect();
        let (object, known) = (self.view.get(held?), identity.reading.space.settled());
        let removed = match object.map(|object| (object, our_anchor(object, self.owner))) {
            Some((object, Some(mark))) => {
                known && !named.contains(mark) && self.certain.contains(&object.id)
            }
            Some((object, None)) => !self.matches.claimed.contains(&object.id),
            None => false,
        };
        removed.then_some(Change::SetManager { manager: None })
    }

    fn members(&self, identity: &Identity<'_>, found: Found<'_>) -> Vec<Change> {
        let attributes = identity.mapping.members();
        if attributes.is_empty() {
            return Vec::new();
        }
        let object = found.object();
        let held: BTreeSet<&TargetId> = object
            .and_then(|object| object.members.as_ref())
            .into_iter()
            .flatten()
            .collect();
        let unread = matches!(found, Found::Ours(object) if object.members.is_none());
        if unread {
            return Vec::new();
        }
        let entry = &identity.slot.entry;
        let mut named: BTreeSet<&Anchor> = BTreeSet::new();
        let mut changes = Vec::new();
        for slot in attributes
            .iter()
            .flat_map(|name| identity.reading.index.references(entry, name))
        {
            let first = slot
                .entry
                .anchor
                .as_ref()
                .is_some_and(|anchor| named.insert(anchor));
            named.extend(names(&slot.entry));
            if let Some(member) = slot.entry.anchor.as_ref().filter(|_| first)
                && self.existing.contains(member)
                && !self.id(member).is_some_and(|id| held.contains(id))
            {
                let member = self.peer(member);
                changes.push(Change::AddMember { member });
            }
        }
        if !matches!(found, Found::Ours(_)) {
            return changes;
        }
        for id in held {
            let Some(peer) = self.view.get(id) else {
                continue;
            };
            let member = match our_anchor(peer, self.owner) {
                Some(mark) => {
                    let keep = named.contains(mark)
                        || !identity.reading.space.settled()
                        || !self.certain.contains(id) && !planted(Fault::UncertainMembersLeave);
                    if keep {
                        continue;
                    }
                    Member::Ours(mark.clone())
                }
                None if self.matches.claimed.contains(id) => continue,
                None => Member::Foreign(id.clone()),
            };
            changes.push(Change::RemoveMember { member });
        }
        changes
    }

    fn id(&self, anchor: &Anchor) -> Option<&'a TargetId> {
        let found = self.matches.found.get(anchor)?;
        found.object().map(|object| &object.id)
    }

    /// How the target knows a peer: by the anchor in its mark, where it has one.
    fn peer(&self, anchor: &Anchor) -> Anchor {
        let marked = match self.matches.found.get(anchor) {
            Some(Found::Ours(object)) => our_anchor(object, self.owner),
            _ => None,
        };
        marked.unwrap_or(anchor).clone()
    }
}
