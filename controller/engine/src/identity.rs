//! From entries to identities: who takes part, and what each should look like at the target. One bad entry is set aside with its
//! reason; its object at the target is kept as it is.
//!
//! Entries of a connector that was never read completely take no part yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    connector_space::{ConnectorSpace, Index, Slot, names},
    entry::{Class, EntryKind},
    mapping::Mapping,
    plan::Unsupported,
    quarantine::Quarantined,
    reason::Reason,
    scope::Decided,
    target::{Capabilities, Changes},
};

/// What one connector has read, seen through the scopes of the sync.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) space: &'a ConnectorSpace,
    pub(crate) index: Index<'a>,
    /// Sorted by name.
    pub(crate) scopes: Vec<Decided<'a>>,
}

impl Reading<'_> {
    /// One of its scopes is unsettled: nobody leaves.
    pub(crate) fn faulted(&self) -> bool {
        self.scopes.iter().any(|scope| !scope.faults.is_empty())
    }
}

/// One person or group that takes part.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) class: Class,
    pub(crate) slot: &'a Slot,
    pub(crate) reading: &'a Reading<'a>,
    pub(crate) mapping: &'a Mapping,
    /// May not be created, restored or adopted for now.
    pub(crate) closed: bool,
    pub(crate) desired: Changes,
}

impl Identity<'_> {
    pub(crate) fn names(&self) -> impl Iterator<Item = &Anchor> {
        names(&self.slot.entry)
    }

    pub(crate) fn set_aside(&self, reason: Reason, message: String, now: Timestamp) -> Quarantined {
        set_aside(self.class, self.slot, reason, message, now)
    }
}

/// How many entries a scope takes, by class; unsupported ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeCounts {
    pub users: usize,
    pub groups: usize,
    pub contacts: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Joined<'a> {
    pub(crate) identities: BTreeMap<Anchor, Identity<'a>>,
    pub(crate) quarantine: Vec<Quarantined>,
    /// Names of entries that are set aside.
    pub(crate) kept: BTreeSet<Anchor>,
    pub(crate) unsupported: Unsupported,
    pub(crate) scopes: BTreeMap<String, ScopeCounts>,
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    class: Class,
    slot: &'a Slot,
    reading: &'a Reading<'a>,
    scope: &'a Decided<'a>,
}

/// Joins what the connectors have read. (One entry is one identity; joins over several connectors follow.)
pub(crate) fn join<'a>(
    readings: &'a BTreeMap<&'a str, Reading<'a>>,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Joined<'a> {
    let mut joined = Joined::default();
    let mut candidates: BTreeMap<&Anchor, Vec<Candidate<'a>>> = BTreeMap::new();
    for reading in readings.values() {
        for scope in &reading.scopes {
            joined.scopes.entry(scope.scope.name.clone()).or_default();
        }
        for slot in reading.space.slots() {
            let Some(candidate) = joined.candidate(slot, reading, capabilities, now) else {
                continue;
            };
            match &slot.entry.anchor {
                Some(anchor) => candidates.entry(anchor).or_default().push(candidate),
                None => joined.keep(
                    candidate.class,
                    slot,
                    Reason::AnchorMissing,
                    "the entry has no usable source anchor".to_owned(),
                    now,
                ),
            }
        }
    }
    for (anchor, candidates) in candidates {
        match <[Candidate<'a>; 1]>::try_from(candidates) {
            Ok([candidate]) => joined.map(anchor, candidate, now),
            Err(twins) => {
                for twin in &twins {
                    let others: Vec<&str> = twins
                        .iter()
                        .map(|other| other.slot.entry.dn.as_str())
                        .filter(|dn| *dn != twin.slot.entry.dn)
                        .collect();
                    let message = format!(
                        "`{}` has the same source anchor {anchor}: give one of them another value",
                        others.join("`, `")
                    );
                    joined.keep(twin.class, twin.slot, Reason::AnchorNotUnique, message, now);
                }
            }
        }
    }
    joined
}

impl<'a> Joined<'a> {
    fn candidate(
        &mut self,
        slot: &'a Slot,
        reading: &'a Reading<'a>,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Option<Candidate<'a>> {
        let class = match slot.entry.kind {
            EntryKind::User => Class::User,
            EntryKind::SecurityGroup | EntryKind::DistributionGroup => Class::Group,
            EntryKind::Contact => Class::Contact,
            EntryKind::Container => return None,
        };
        if slot.dn.is_none() {
            let message = "the DN cannot be parsed: rename the entry".to_owned();
            self.keep(class, slot, Reason::InvalidDN, message, now);
            return None;
        }
        let mut taker = None;
        for scope in &reading.scopes {
            match scope.takes(slot, class) {
                Ok(false) => {}
                Ok(true) => {
                    let counts = self.scopes.entry(scope.scope.name.clone()).or_default();
                    *match class {
                        Class::User => &mut counts.users,
                        Class::Group => &mut counts.groups,
                        Class::Contact => &mut counts.contacts,
                    } += 1;
                    taker = taker.or(Some(scope));
                }
                Err(message) => {
                    let message = format!(
                        "`when` of scope `{}` failed: {message}; correct the expression or the value",
                        scope.scope.name
                    );
                    self.keep(class, slot, Reason::ExpressionFailed, message, now);
                    return None;
                }
            }
        }
        let scope = taker?;
        match slot.entry.kind {
            EntryKind::DistributionGroup => self.unsupported.distribution_groups += 1,
            EntryKind::Contact if !capabilities.classes.contains(&Class::Contact) => {
                self.unsupported.contacts += 1;
            }
            _ => {
                return Some(Candidate {
                    class,
                    slot,
                    reading,
                    scope,
                });
            }
        }
        None
    }

    fn map(&mut self, anchor: &Anchor, candidate: Candidate<'a>, now: Timestamp) {
        let Candidate {
            class,
            slot,
            reading,
            scope,
        } = candidate;
        let Some(mapping) = scope.scope.mapping.get(&class) else {
            return;
        };
        match mapping.apply(&slot.entry) {
            Ok(desired) => {
                let identity = Identity {
                    class,
                    slot,
                    reading,
                    mapping,
                    closed: scope.closed,
                    desired,
                };
                self.identities.insert(anchor.clone(), identity);
            }
            Err(fault) => self.keep(class, slot, fault.reason, fault.message, now),
        }
    }

    /// Sets an entry aside: what it has at the target stays.
    fn keep(&mut self, class: Class, slot: &Slot, reason: Reason, message: String, now: Timestamp) {
        self.kept.extend(names(&slot.entry).cloned());
        self.quarantine
            .push(set_aside(class, slot, reason, message, now));
    }
}

fn set_aside(
    class: Class,
    slot: &Slot,
    reason: Reason,
    message: String,
    now: Timestamp,
) -> Quarantined {
    Quarantined {
        class,
        anchor: slot.entry.anchor.clone(),
        dn: slot.entry.dn.clone(),
        reason,
        message,
        since: now,
    }
}
