//! Quarantine: one object set aside with its reason, while all others flow. Refused writes are retried with back-off.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    anchor::Anchor,
    entry::Class,
    memory::{Memory, Refusal, Since},
    operation::{Change, Operation},
    plan::operation_digest,
    reason::Reason,
};

/// One object that is set aside. What it has at the target stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    pub class: Class,
    /// `None` for an entry without a usable anchor.
    pub anchor: Option<Anchor>,
    /// As the directory writes it; empty when no connector has the object.
    pub dn: String,
    pub reason: Reason,
    /// What is wrong with which value, and the next step.
    pub message: String,
    /// Since when this reason stands.
    pub since: Timestamp,
}

impl Quarantined {
    fn key(&self) -> String {
        match &self.anchor {
            Some(anchor) => format!("{} {anchor}", self.class.as_str()),
            None => format!("{} {}", self.class.as_str(), self.dn),
        }
    }
}

/// Sorts, keeps one reason an object (the first found, which is the root), and sets since when it stands.
pub(crate) fn settle(found: Vec<Quarantined>, memory: &mut Memory) -> Vec<Quarantined> {
    let mut keys = BTreeSet::new();
    let mut kept: Vec<Quarantined> = Vec::new();
    let mut since = BTreeMap::new();
    for mut quarantined in found {
        let key = quarantined.key();
        if !keys.insert(key.clone()) {
            continue;
        }
        let reason = quarantined.reason;
        if let Some(before) = memory.since.get(&key).filter(|old| old.reason == reason) {
            quarantined.since = before.at;
        }
        let at = quarantined.since;
        since.insert(key, Since { reason, at });
        kept.push(quarantined);
    }
    memory.since = since;
    kept.sort();
    kept
}

/// The name of an operation in the record of refusals: what it does to whom, without values.
pub(crate) fn refusal_key(operation: &Operation) -> String {
    let (class, kind) = (operation.class.as_str(), operation.change.kind().as_str());
    let object = format!("{class} {} {kind}", operation.anchor);
    match &operation.change {
        Change::AddMember { member } => format!("{object} {member}"),
        Change::RemoveMember { member } => format!("{object} {member}"),
        _ => object,
    }
}

/// Records that the target refused an operation: again after 1 min, doubling to 1 h.
pub(crate) fn refuse(
    memory: &mut Memory,
    operation: &Operation,
    reason: Reason,
    message: String,
    now: Timestamp,
) {
    let key = refusal_key(operation);
    let digest = operation_digest(operation);
    let before = memory
        .refusals
        .get(&key)
        .filter(|old| old.operation == digest);
    let failures = before.map_or(1, |old| old.failures.saturating_add(1));
    let minutes = 1_i64 << failures.saturating_sub(1).min(6);
    let until = now
        .checked_add(SignedDuration::from_mins(minutes.min(60)))
        .unwrap_or(Timestamp::MAX);
    let refusal = Refusal {
        reason,
        message,
        operation: digest,
        failures,
        until,
    };
    memory.refusals.insert(key, refusal);
}
